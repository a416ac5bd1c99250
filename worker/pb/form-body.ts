/** Reads the small fixed bodies of auth endpoints, as PocketBase binds them to its forms. */
import type { FieldError } from "../model/contract.ts";
import { toText } from "../model/fields/cast.ts";
import { ApiError, GENERIC, badRequest } from "./api-error.ts";
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

/** A text of the form; "" when absent or null. JSON of another type is refused, form values were inferred and are text again. */
export function formText(context: PbContext, body: BoundBody, name: string): string {
  const value = body.values[name];
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value;
  const isJson = context.request.headers.get("content-type")?.startsWith("application/json") === true;
  if (isJson || typeof value === "object") throw badRequest(LOAD_FAILED);
  return toText(value);
}

export function lengthError(text: string, min: number, max: number): FieldError | undefined {
  const count = Array.from(text).length;
  if (count >= min && count <= max) return undefined;
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
