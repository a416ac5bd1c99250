/** Builders of field errors: PocketBase's codes with their sentences, ready to be sent. */
import type { ErrorData, FieldError } from "./contract.ts";

/** `{{.name}}` in `message` is replaced by the parameter of that name; parameters travel with the error. */
export function fieldError(code: string, message: string, params?: Record<string, unknown>): FieldError {
  if (params === undefined) return { code, message };
  return {
    code,
    message: sentence(message.replace(/\{\{\.(\w+)\}\}/g, (_, name: string) => shown(params[name]))),
    params,
  };
}

/** A value at the end may bring blanks or the final point along. */
function sentence(text: string): string {
  return `${text
    .replace(/\.$/, "")
    .trimEnd()
    .replace(/([.?!])$/, "")}${/[?!]\s*\.$/.test(text) ? "" : "."}`;
}

export function isFieldError(value: FieldError | ErrorData): value is FieldError {
  return typeof value["code"] === "string" && typeof value["message"] === "string";
}

/** Drops the undefined entries; undefined when nothing is left. */
export function errorsOf(
  entries: Readonly<Record<string, FieldError | ErrorData | undefined>>,
): ErrorData | undefined {
  let found: ErrorData | undefined;
  for (const [key, error] of Object.entries(entries)) {
    if (error === undefined) continue;
    found ??= {};
    found[key] = error;
  }
  return found;
}

function shown(value: unknown): string {
  return Array.isArray(value) ? `[${value.join(" ")}]` : String(value);
}
