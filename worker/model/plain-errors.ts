/** Field errors as the sentence and the JSON that PocketBase makes of them where they are only part of a message. */
import type { ErrorData, FieldError } from "./contract.ts";
import { isFieldError } from "./field-error.ts";

/** Messages of PocketBase's validation library begin in lower case and end without a dot; these of its own lack only the dot. */
const DOTLESS =
  /^validation_(?:invalid_rule|duplicated_field_.*|missing_field|(?:min_number|max_number|only_int)_constraint|invalid_autogenerate_pattern_value)$/;
const LIBRARY =
  /^validation_(?:required|empty|nil(?:_or_not_empty_required)?|length_.*|match_invalid|in_invalid|not_in_invalid|min_greater.*|max_less.*|is_\w+|invalid_regex)$/;

/** `name: cannot be blank; options: (max: must be blank.).` */
export function plainErrors(errors: ErrorData): string {
  const parts = Object.keys(errors)
    .toSorted()
    .map((key) => {
      const error = errors[key] ?? {};
      return isFieldError(error) ? `${key}: ${plainMessage(error)}` : `${key}: (${plainErrors(error)})`;
    });
  return `${parts.join("; ")}.`;
}

/** Nested objects of messages, keys in order. */
export function plainObject(error: FieldError | ErrorData): unknown {
  if (isFieldError(error)) return plainMessage(error);
  const keys = Object.keys(error).toSorted();
  return Object.fromEntries(keys.map((key) => [key, plainObject(error[key] ?? {})]));
}

function plainMessage({ code, message }: FieldError): string {
  if (DOTLESS.test(code)) return message.replace(/\.$/, "");
  if (!LIBRARY.test(code)) return message;
  return message.charAt(0).toLowerCase() + message.slice(1).replace(/\.$/, "");
}
