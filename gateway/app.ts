import { Hono } from "hono";
import { SystemError, UserError } from "../shared/errors.ts";
import { limits } from "../shared/limits.ts";
import { readHost } from "./host.ts";
import { page } from "./pages/page.ts";
import { problem } from "./pages/problem.ts";
import { type Client, requestHeaders, responseHeaders } from "./proxy/headers.ts";
import { type TenantProxy, serveTenant } from "./proxy/serve-tenant.ts";

export interface GatewayOptions extends TenantProxy {
  /** Tenants are `<slug>.<domain>`. */
  domain: string;
  controlUrl: string;
  /** Told of errors that are nobody's fault but ours; never with headers or bodies. */
  onError: (error: unknown) => void;
}

/** What an adapter adds to a request. */
export type GatewayBindings = { client: Client };

/** The gateway as a pure function over fetch; adapters/ run it on a runtime. */
export function createGateway(options: GatewayOptions): Hono<{ Bindings: GatewayBindings }> {
  const { domain } = options;
  const app = new Hono<{ Bindings: GatewayBindings }>();

  app.onError((error, { req }) => {
    if (!(error instanceof UserError) && !(error instanceof SystemError) && !req.raw.signal.aborted)
      options.onError(error);
    return problem(req.raw, error);
  });

  app.all("*", (context) => {
    const request = context.req.raw;
    const { client } = context.env;
    if (request.url.length > limits.urlCharactersMax) {
      throw new UserError("too_large", "Cannot take this request: its address is too long");
    }
    const host = readHost(request.headers.get("host"), domain);
    switch (host.kind) {
      case "tenant":
        return serveTenant(options, host.slug, request, client);
      case "operators":
        return serveOperators(options, request, client, context.req.path);
      case "customers":
        return page(200, "Your applications", [
          "The customers' dashboard is not part of this release yet: sign-up and self-service come with it.",
          "Until then an operator makes applications with the command line tool.",
        ]);
      case "base":
        return page(200, "Manybase", [
          `Every application has a name of its own here: http://<name>.${domain}.`,
          `Operators work on admin.${domain}, customers on app.${domain}.`,
        ]);
      case "malformed":
        throw new UserError("invalid_host", "Cannot read the host name of this request");
      case "foreign":
        throw new UserError("tenant_not_found", "Cannot find an application at this host name", {
          hint: `Applications are at <name>.${domain}.`,
        });
    }
  });
  return app;
}

/** The operators' API is control's; the gateway adds nothing but where the request came from. */
async function serveOperators(
  options: GatewayOptions,
  request: Request,
  client: Client,
  path: string,
): Promise<Response> {
  if (!path.startsWith("/api/cp/") && path !== "/api/cp") {
    return page(200, "Platform operators", [
      "The operators' dashboard is not part of this release yet.",
      "The API is here: /api/cp/tenants, /api/cp/workers (Authorization: Bearer <operator token>).",
      "The command line tool uses it: bun run manybase --help.",
    ]);
  }
  const { fetch: send = fetch, controlUrl } = options;
  const { pathname, search } = new URL(request.url);
  try {
    const upstream = await send(controlUrl + pathname + search, {
      method: request.method,
      headers: requestHeaders(request, client),
      redirect: "manual",
      signal: AbortSignal.any([request.signal, AbortSignal.timeout(limits.commandMs)]),
      ...(request.body === null ? {} : { body: request.body, duplex: "half" }),
    });
    return new Response(upstream.body, {
      status: upstream.status,
      headers: responseHeaders(upstream.headers),
    });
  } catch (cause) {
    throw new SystemError("control_unreachable", "Cannot reach control", { cause, retryAfterMs: 1000 });
  }
}
