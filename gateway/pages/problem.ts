import type { Incoming } from "../proxy/incoming.ts";
import { SystemError, UserError, errorResponse } from "../../shared/errors.ts";
import { page } from "./page.ts";

const TITLES: Partial<Record<string, string>> = {
  tenant_not_found: "There is nothing here",
  tenant_deleted: "This application is gone",
  invalid_host: "This is not an address of this platform",
  tenant_suspended: "This application is suspended",
  tenant_stopped: "This application is in the archive",
  tenant_moving: "One moment",
  tenant_loading: "One moment",
  worker_starting: "One moment",
  no_worker: "No server is free",
  overloaded: "Too many at a time",
  rate_limited: "Too many requests",
  too_large: "This is too large",
  client_too_slow: "This took too long",
  control_unreachable: "The platform cannot be asked just now",
  control_no_leader: "The platform cannot be asked just now",
  worker_unreachable: "The server of this application cannot be reached",
  worker_lost: "The answer was lost",
};

/** A page for browsers, JSON for every other client. Unexpected errors never show their text. */
export async function problem(
  request: Pick<Incoming, "method" | "headers">,
  error: unknown,
): Promise<Response> {
  const json = errorResponse(error);
  const known = error instanceof UserError || error instanceof SystemError;
  if (!wantsHtml(request)) return json;
  const lines = known
    ? [error.message, ...(error.hint === undefined ? [] : [error.hint])]
    : ["An internal error was logged."];
  const code = known ? error.code : "internal";
  const shown = await page(json.status, TITLES[code] ?? "This did not work", lines, code);
  const retryAfter = json.headers.get("retry-after");
  if (retryAfter !== null) shown.headers.set("retry-after", retryAfter);
  return shown;
}

function wantsHtml(request: Pick<Incoming, "method" | "headers">): boolean {
  return request.method === "GET" && (request.headers.get("accept") ?? "").includes("text/html");
}
