import { SystemError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import { ApiError } from "../../pb/api-error.ts";

/**
 * What PocketBase's logs hold beside an error's message: the fields' own texts, or why it failed; null where there is no more
 * to tell. The platform's own troubles are not the tenant's to read.
 */
export function detailsOf(error: ApiError): unknown {
  if (Object.keys(error.data).length > 0) {
    const details = plainTexts(error.data);
    return JSON.stringify(details).length > limits.logDetailsCharactersMax ? null : details;
  }
  const reason = innermost(error);
  if (reason === undefined || reason === error || isOurs(reason)) return null;
  return reason.message.slice(0, limits.logDetailsCharactersMax);
}

/** The error below those that only say it in other words. */
function innermost(error: Error): Error | undefined {
  let found: Error = error;
  for (let depth = 0; found instanceof ApiError && depth < DEPTH_MAX; depth++) {
    if (!(found.cause instanceof Error)) break;
    found = found.cause;
  }
  return found;
}
const DEPTH_MAX = 5;

function isOurs(error: Error): boolean {
  return error instanceof SystemError || "syscall" in error || "$metadata" in error;
}

function plainTexts(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const { code, message } = value as { code?: unknown; message?: unknown };
  if (typeof code === "string" && typeof message === "string") return plainText(code, message);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plainTexts(inner)]));
}

/** The texts of the validators' library are no sentences before PocketBase shows them. */
function plainText(code: string, message: string): string {
  if (!LIBRARY.test(code)) return message;
  return (message.charAt(0).toLowerCase() + message.slice(1)).replace(/\.$/, "");
}
const LIBRARY =
  /^validation_(?:required|nil_or_not_empty_required|is_\w+|length_\w+|in_invalid|not_in_invalid|match_invalid|date_\w+|min_\w+_required|max_\w+_required)$/;
