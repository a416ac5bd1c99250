/// <reference lib="deno.ns" />
import type { Hono } from "hono";
import type { GatewayBindings } from "../app.ts";

/** Serves the gateway on Deno until the signal; resolves with the address when it listens. */
export function serveOnDeno(
  app: Hono<{ Bindings: GatewayBindings }>,
  listen: { hostname: string; port: number },
  signal: AbortSignal,
): Promise<{ url: string; finished: Promise<void> }> {
  return new Promise((resolve) => {
    const server = Deno.serve(
      {
        ...listen,
        signal,
        onListen: ({ hostname, port }) =>
          resolve({ url: `http://${hostname}:${port}`, finished: server.finished }),
        onError: () => new Response("Cannot answer this request\n", { status: 500 }),
      },
      (request, { remoteAddr }) =>
        app.fetch(request, {
          client: { address: "hostname" in remoteAddr ? remoteAddr.hostname : "", protocol: "http" },
        }),
    );
  });
}
