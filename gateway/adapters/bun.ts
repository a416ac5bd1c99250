import type { Hono } from "hono";
import { limits } from "../../shared/limits.ts";
import type { GatewayBindings } from "../app.ts";

/** Serves the gateway on Bun. */
export function serveOnBun(
  app: Hono<{ Bindings: GatewayBindings }>,
  listen: { hostname: string; port: number },
): { url: string; stop: () => Promise<void> } {
  const server = Bun.serve({
    ...listen,
    idleTimeout: 0,
    maxRequestBodySize: limits.importBytesMax,
    fetch: (request, bun) =>
      app.fetch(request, { client: { address: bun.requestIP(request)?.address ?? "", protocol: "http" } }),
  });
  return { url: `http://${server.hostname}:${server.port}`, stop: () => server.stop(true) };
}
