/** Any thrown value as PocketBase tells it: `{"data":{…},"message":"…","status":N}`. */
import { SystemError, UserError } from "../../shared/errors.ts";
import { ValidationFailure } from "../model/contract.ts";
import { FilterError } from "../../shared/filter/error.ts";
import { StatementFailure } from "../statements/failure.ts";
import { ApiError, badRequest, forbidden } from "./api-error.ts";
import { encodeGo, sortedKeys } from "./go-json.ts";

/**
 * What a client is told of `error`. Undefined for what nobody expected: the caller logs it and answers 400 as PocketBase
 * does for any error that is not an API error.
 */
export function toApiError(error: unknown): ApiError | undefined {
  if (error instanceof ApiError) return error;
  if (error instanceof ValidationFailure) return badRequest("", error.data, error);
  if (error instanceof FilterError) {
    return error.kind === "forbidden" ? forbidden(error.message) : badRequest("", undefined, error);
  }
  // A query that was stopped in its process: PocketBase answers so when its own time-out is over.
  if (error instanceof StatementFailure) return badRequest("", undefined, error);
  if (error instanceof UserError || error instanceof SystemError) {
    const wait = error.retryAfterMs;
    const headers = wait === undefined ? {} : { "retry-after": String(Math.max(1, Math.ceil(wait / 1000))) };
    return new ApiError(error.status, error.message, {}, { cause: error, headers });
  }
  return undefined;
}

/** The error's own JSON, as it also stands inside a failed batch. */
export function errorBody(error: ApiError): { data: unknown; message: string; status: number } {
  return { data: sortedKeys(error.data), message: error.message, status: error.status };
}

export function errorResponse(error: ApiError): Response {
  const headers = new Headers(error.headers);
  headers.set("content-type", "application/json");
  return new Response(encodeGo(errorBody(error)), { status: error.status, headers });
}
