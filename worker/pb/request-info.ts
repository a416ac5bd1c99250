/** What rules see of a request as `@request.*`. */
import type { RequestAuth, RequestContext, RequestInfo } from "../query/contract.ts";
import { EVERYTHING, recordToJson } from "../model/records/to-json.ts";
import type { AuthState } from "./route.ts";

const NO_BODY: RequestInfo["body"] = {};

/**
 * Header names become lower snake case; of repeated query parameters the first counts. Each part is worked out when a rule
 * or a feature first asks for it: most requests need none of it.
 */
export function buildRequestInfo(
  request: Request,
  query: () => Readonly<Record<string, string>>,
  auth: AuthState | undefined,
  body: RequestInfo["body"] = NO_BODY,
  context: RequestContext = "default",
): RequestInfo {
  let headers: Record<string, string> | undefined;
  let known: RequestAuth | null | undefined;
  return {
    context,
    method: request.method,
    body,
    get headers() {
      headers ??= snakeCased(request.headers);
      return headers;
    },
    get query() {
      return query();
    },
    get auth() {
      known ??= auth === undefined ? null : requestAuth(auth);
      return known;
    },
  };
}

/** The same request in another context or with another body; nothing is worked out for it. */
export function derivedInfo(
  info: RequestInfo,
  changed: { context?: RequestContext; body?: RequestInfo["body"] },
): RequestInfo {
  return {
    context: changed.context ?? info.context,
    method: info.method,
    body: changed.body ?? info.body,
    get headers() {
      return info.headers;
    },
    get query() {
      return info.query;
    },
    get auth() {
      return info.auth;
    },
  };
}

function snakeCased(given: Headers): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of given) {
    // The platform's own proofs are none of the tenant's business, and Go keeps the host apart.
    if (name !== "host" && !name.startsWith("x-manybase-")) headers[name.replaceAll("-", "_")] = value;
  }
  return headers;
}

/** Every field of the signed-in record, hidden ones and the email included. */
export function requestAuth(auth: Pick<AuthState, "collection" | "record">): RequestAuth {
  return { collection: auth.collection, record: recordToJson(auth.record, EVERYTHING) };
}
