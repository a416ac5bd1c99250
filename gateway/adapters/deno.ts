/// <reference lib="deno.ns" />
import type { Hono } from "hono";
import type { GatewayBindings } from "../app.ts";

/** Serves the gateway on Deno until the signal. */
export function serveOnDeno(
  app: Hono<{ Bindings: GatewayBindings }>,
  listen: { hostname: string; port: number },
  signal: AbortSignal,
): { url: string; finished: Promise<void> } {
  const server = Deno.serve(
    {
      ...listen,
      signal,
      onListen: () => undefined,
      onError: () => new Response("Cannot answer this request\n", { status: 500 }),
    },
    (request, { remoteAddr }) =>
      app.fetch(request, {
        client: { address: "hostname" in remoteAddr ? remoteAddr.hostname : "", protocol: "http" },
      }),
  );
  const { hostname, port } = server.addr;
  return { url: `http://${hostname}:${port}`, finished: server.finished };
}
