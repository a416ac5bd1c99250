import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { type DashboardFiles, serveDashboard } from "../dashboards/serve-file.ts";
import { pathOf } from "../host.ts";
import { page } from "../pages/page.ts";
import type { Exchange } from "./exchange.ts";
import { parseFields } from "../http1/fields.ts";
import { forwardedLines, requestFields, responseFields } from "./headers.ts";
import type { Incoming } from "./incoming.ts";

/** The operators' API is control's; the gateway adds nothing but where the request came from. */
export async function serveOperators(
  { fetch: send = fetch, controlUrl, decodesBodies, files }: ControlProxy,
  request: Incoming,
  exchange: Exchange,
): Promise<Response> {
  const { pathname, search } = pathOf(request);
  if (!pathname.startsWith("/api/cp/") && pathname !== "/api/cp") {
    const file = await serveDashboard(files, "operators", pathname, request);
    if (file !== undefined) return file;
    return page(200, "Platform operators", [
      "The operators' dashboard is not part of this release yet.",
      "The API is here: /api/cp/tenants, /api/cp/workers (Authorization: Bearer <operator token>).",
      "The command line tool uses it: bun run manybase --help.",
    ]);
  }
  const body = request.method === "GET" || request.method === "HEAD" ? null : request.body;
  try {
    const upstream = await send(controlUrl + pathname + search, {
      method: request.method,
      headers: [
        ...requestFields(request, exchange, decodesBodies === true),
        ...parseFields(forwardedLines(request, exchange, decodesBodies === true), 0),
      ],
      redirect: "manual",
      signal: AbortSignal.any([request.signal, AbortSignal.timeout(limits.commandMs)]),
      // A GET's body is none of a fetch's.
      ...(body === null ? {} : { body, duplex: "half" }),
    });
    return new Response(upstream.body, {
      status: upstream.status,
      headers: responseFields([...upstream.headers]),
    });
  } catch (cause) {
    throw new SystemError("control_unreachable", "Cannot reach control", { cause, retryAfterMs: 1000 });
  }
}

export interface ControlProxy {
  controlUrl: string;
  fetch?: typeof fetch;
  decodesBodies?: boolean;
  /** The operators' dashboard. */
  files?: DashboardFiles | undefined;
}
