/** The validation rules that PocketBase's settings share: each returns the error of one value, or undefined. */
import type { ErrorData, FieldError } from "./contract.ts";
import { fieldError } from "./field-error.ts";
import { patternError } from "./fields/pattern.ts";

export type Rule = (value: unknown) => FieldError | ErrorData | undefined;

/** 2^53-1: the largest number that JSON carries exactly. */
export const SAFE_INTEGER_MAX = Number.MAX_SAFE_INTEGER;

export const cannotBeBlank: FieldError = { code: "validation_required", message: "Cannot be blank." };

/** The first error of `rules`, in order. */
export function check(
  value: unknown,
  ...rules: readonly (Rule | undefined)[]
): FieldError | ErrorData | undefined {
  for (const rule of rules) {
    const error = rule?.(value);
    if (error !== undefined) return error;
  }
  return undefined;
}

export function isEmpty(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    value === "" ||
    value === 0 ||
    value === false ||
    (Array.isArray(value) && value.length === 0)
  );
}

export const required: Rule = (value) => (isEmpty(value) ? cannotBeBlank : undefined);

export const mustBeEmpty: Rule = (value) =>
  isEmpty(value) ? undefined : fieldError("validation_empty", "Must be blank.");

export const mustBeNull: Rule = (value) =>
  value === null ? undefined : fieldError("validation_nil", "Must be blank.");

/** Bytes of a text, between `min` and `max`. */
export const length =
  (min: number, max: number): Rule =>
  (value) => {
    if (isEmpty(value)) return undefined;
    const bytes = Buffer.byteLength(String(value));
    if (bytes >= min && bytes <= max) return undefined;
    if (min === 0) {
      return fieldError("validation_length_too_long", "The length must be no more than {{.max}}.", {
        max,
        min,
      });
    }
    return fieldError("validation_length_out_of_range", "The length must be between {{.min}} and {{.max}}.", {
      max,
      min,
    });
  };

export const matches =
  (pattern: RegExp): Rule =>
  (value) =>
    isEmpty(value) || pattern.test(String(value))
      ? undefined
      : fieldError("validation_match_invalid", "Must be in a valid format.");

export const oneOf =
  (values: readonly unknown[], message = "Must be a valid value."): Rule =>
  (value) =>
    isEmpty(value) || values.includes(value) ? undefined : fieldError("validation_in_invalid", message);

export const noneOf =
  (values: readonly unknown[]): Rule =>
  (value) =>
    isEmpty(value) || !values.includes(value)
      ? undefined
      : fieldError("validation_not_in_invalid", "Must not be in list.");

export const atLeast =
  (threshold: number): Rule =>
  (value) =>
    isEmpty(value) || Number(value) >= threshold
      ? undefined
      : fieldError("validation_min_greater_equal_than_required", "Must be no less than {{.threshold}}.", {
          threshold,
        });

export const atMost =
  (threshold: number): Rule =>
  (value) =>
    isEmpty(value) || Number(value) <= threshold
      ? undefined
      : fieldError("validation_max_less_equal_than_required", "Must be no greater than {{.threshold}}.", {
          threshold,
        });

/** Every item of a list, errors by index. */
export const each =
  (...rules: readonly Rule[]): Rule =>
  (value) => {
    if (!Array.isArray(value)) return undefined;
    const errors: ErrorData = {};
    value.forEach((item: unknown, index) => {
      const error = check(item, ...rules);
      if (error !== undefined) errors[String(index)] = error;
    });
    return Object.keys(errors).length > 0 ? errors : undefined;
  };

export const equalTo =
  (expected: unknown): Rule =>
  (value) =>
    value === expected ? undefined : fieldError("validation_values_mismatch", "Values don't match.");

export const isPattern: Rule = (value) => {
  const error = isEmpty(value) ? undefined : patternError(String(value));
  return error === undefined
    ? undefined
    : fieldError("validation_invalid_regex", `${error.slice(0, 1).toUpperCase()}${error.slice(1)}.`);
};

const DOMAIN =
  /^([a-zA-Z0-9_][a-zA-Z0-9_-]{0,62})(\.[a-zA-Z0-9_][a-zA-Z0-9_-]{0,62})*\.[a-zA-Z][a-zA-Z0-9-]*[a-zA-Z0-9]\.?$/;

export const isDomain: Rule = (value) =>
  isEmpty(value) || (String(value).length <= 255 && DOMAIN.test(String(value)))
    ? undefined
    : fieldError("validation_is_domain", "Must be a valid domain.");

export const isUrl: Rule = (value) =>
  isEmpty(value) || looksLikeUrl(String(value))
    ? undefined
    : fieldError("validation_is_url", "Must be a valid URL.");

const URL_TEXT =
  /^(?:(?:ftp|tcp|udp|wss?|https?):\/\/)?(?:\S+(?::\S*)?@)?(?:\[[0-9a-fA-F:.]+\]|(?:[a-zA-Z0-9_\u00a1-\uffff](?:[a-zA-Z0-9_\u00a1-\uffff-]{0,62}))(?:\.(?:[a-zA-Z0-9_\u00a1-\uffff](?:[a-zA-Z0-9_\u00a1-\uffff-]{0,62})))*\.?)(?::\d{1,5})?(?:[/?#]\S*)?$/;

/** A scheme is optional, as in PocketBase; without one or a port, a dot must tell the text from a bare word. */
export function looksLikeUrl(text: string): boolean {
  if (text.length <= 3 || text.length > 2083 || text.startsWith(".") || !URL_TEXT.test(text)) return false;
  if (/%(?![\da-f]{2})/i.test(text.replace(/\?[^#]*/, ""))) return false;
  const beforeQuery = text.split(/[?#]/)[0] ?? "";
  if (!text.includes(":") && !beforeQuery.includes(".")) return false;
  const authority = beforeQuery.replace(/^[a-z]+:\/\//i, "").split("/")[0] ?? "";
  const host = authority.slice(authority.lastIndexOf("@") + 1).replace(/:\d*$/, "");
  return !host.endsWith("-") && URL.canParse(`http://${host}`) && isHost(host.replace(/\.$/, ""));
}

const HOST_CHARACTERS_MAX = 255;
const ADDRESS = /^(?:\[.*\]|(?:\d{1,3}\.){3}\d{1,3})$/;
/** What stands last: a name, with a suffix of letters or without. */
const HOST_END = /^[a-zA-Z0-9\u00a1-\uffff]+(?:--?[a-zA-Z0-9\u00a1-\uffff]+)*(?:\.[a-zA-Z\u00a1-\uffff]+)?$/;
/** What may stand before it, with nothing between the two. */
const HOST_START =
  /^(?:|www\.|[a-zA-Z0-9][a-zA-Z0-9_-]*[a-zA-Z0-9](?:[-.][a-zA-Z0-9]+)*|[a-zA-Z0-9](?:[-_.]?[a-zA-Z0-9])*(?<=[a-zA-Z0-9]{2})\.[a-zA-Z0-9]+)$/;

/** The peculiar names that PocketBase's URL check takes: `a_b.com` is one, `a_b.c` and `x.a_b.com` are not. */
function isHost(host: string): boolean {
  if (ADDRESS.test(host)) return true;
  if (host.length > HOST_CHARACTERS_MAX) return false;
  for (let at = 0; at < host.length; at++) {
    if (HOST_END.test(host.slice(at)) && HOST_START.test(host.slice(0, at))) return true;
  }
  return false;
}

/** Beside ASCII: the letters and signs of the basic plane. */
const WIDE = "\\u00a0-\\ud7ff\\uf900-\\ufdcf\\ufdf0-\\uffef";
const ATOM = `[a-zA-Z0-9!#$%&'*+/=?^_\`{|}~${WIDE}-]+`;
const LETTER = `a-zA-Z${WIDE}`;
/** As lenient about domains as the validators' library that PocketBase uses. */
const EMAIL = new RegExp(
  `^${ATOM}(?:\\.${ATOM})*@[0-9${LETTER}](?:[0-9${LETTER}._~-]*[0-9${LETTER}])?\\.[${LETTER}](?:[0-9${LETTER}_~-]*[${LETTER}])?\\.?$`,
);

export function looksLikeEmail(text: string): boolean {
  return text.length <= 320 && EMAIL.test(text);
}
