/** Reads the small fixed bodies of auth endpoints, as PocketBase binds them to its forms. */
import type { FieldError } from "../model/contract.ts";
import { toText } from "../model/fields/cast.ts";
import { ApiError, GENERIC, Reason, badRequest } from "./api-error.ts";
import type { BoundBody, PbContext } from "./route.ts";

export const LOAD_FAILED = "An error occurred while loading the submitted data.";
export const VALIDATE_FAILED = "An error occurred while validating the submitted data.";

export const BLANK: FieldError = { code: "validation_required", message: "Cannot be blank." };
export const INVALID_EMAIL: FieldError = {
  code: "validation_is_email",
  message: "Must be a valid email address.",
};

/** @throws ApiError 400 "An error occurred while loading…" for a body that cannot be read */
export async function formBody(context: PbContext): Promise<BoundBody> {
  try {
    return await context.body();
  } catch (error) {
    // A reason that has a name is told by it.
    if (error instanceof ApiError && error.message !== GENERIC) throw error;
    throw badRequest(LOAD_FAILED, undefined, error);
  }
}

/** Where PocketBase tells no reason at all. @throws ApiError 400, 413 */
export async function plainFormBody(context: PbContext): Promise<BoundBody> {
  try {
    return await context.body();
  } catch (error) {
    if (error instanceof ApiError && error.status !== 400) throw error;
    throw badRequest(LOAD_FAILED, undefined, error);
  }
}

/** A text of the form; "" when absent. JSON of another type is refused, form values were inferred and are text again. */
export function formText(context: PbContext, body: BoundBody, name: string): string {
  const value = formValue(context, body, name);
  if (value === undefined) return "";
  if (typeof value === "string") return value;
  if (isJson(context) || typeof value === "object") throw wrongType(name, "text");
  return toText(value);
}

/** A 64 bit integer of the form; 0 when absent. */
export function formInteger(context: PbContext, body: BoundBody, name: string): number {
  const value = formValue(context, body, name) ?? 0;
  if (value === "" && !isJson(context)) return 0;
  if (typeof value === "number" && Number.isInteger(value) && Math.abs(value) < 2 ** 63) return value;
  throw wrongType(name, "64 bit integer");
}

function wrongType(name: string, type: string): ApiError {
  return badRequest(LOAD_FAILED, undefined, new Reason(`the value of ${name} is no ${type}`));
}

/** A value of the form, of those repeated in a form's text the first; undefined when absent or null. */
export function formValue(context: PbContext, { values }: BoundBody, name: string): unknown {
  if (isJson(context)) return foldedValue(values, name);
  const value = values[name];
  return (Array.isArray(value) ? (value as unknown[])[0] : value) ?? undefined;
}

/** As Go decodes JSON into a struct: names in any case, the last one that is not null. */
export function foldedValue(values: Readonly<Record<string, unknown>>, name: string): unknown {
  const folded = name.toLowerCase();
  let found: unknown;
  for (const [key, value] of Object.entries(values)) {
    if (value !== null && key.toLowerCase() === folded) found = value;
  }
  return found;
}

function isJson({ request }: PbContext): boolean {
  return request.headers.get("content-type")?.startsWith("application/json") === true;
}

/** As PocketBase's forms count, in bytes, unless the caller has counted. */
export function lengthError(
  text: string,
  min: number,
  max: number,
  length = Buffer.byteLength(text),
): FieldError | undefined {
  if (length >= min && length <= max) return undefined;
  const params = { max, min };
  return min === 0
    ? { code: "validation_length_too_long", message: `The length must be no more than ${max}.`, params }
    : {
        code: "validation_length_out_of_range",
        message: `The length must be between ${min} and ${max}.`,
        params,
      };
}

/** Throws when any field has an error. @throws ApiError 400 "An error occurred while validating…" */
export function failForm(errors: Readonly<Record<string, FieldError | undefined>>): void {
  const found = Object.fromEntries(Object.entries(errors).filter(([, error]) => error !== undefined));
  if (Object.keys(found).length > 0) throw validationFailed(found);
}

export function validationFailed(data: Record<string, unknown>): ApiError {
  return badRequest(VALIDATE_FAILED, data);
}
