/** What rules see of a request as `@request.*`. */
import type { RequestAuth, RequestContext, RequestInfo } from "../query/contract.ts";
import { EVERYTHING, recordToJson } from "../model/records/to-json.ts";
import type { AuthState } from "./route.ts";

/** Header names become lower snake case; of repeated query parameters the first counts. */
export function buildRequestInfo(
  request: Request,
  query: URLSearchParams,
  auth: AuthState | undefined,
  context: RequestContext = "default",
): RequestInfo {
  const headers: Record<string, string> = {};
  for (const [name, value] of request.headers) headers[name.replaceAll("-", "_")] = value;
  return {
    context,
    method: request.method,
    headers,
    query: firstValues(query),
    body: {},
    auth: auth === undefined ? null : requestAuth(auth),
  };
}

export function firstValues(query: URLSearchParams): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [name, value] of query) values[name] ??= value;
  return values;
}

/** Every field of the signed-in record, hidden ones and the email included. */
export function requestAuth(auth: Pick<AuthState, "collection" | "record">): RequestAuth {
  return { collection: auth.collection, record: recordToJson(auth.record, EVERYTHING) };
}
