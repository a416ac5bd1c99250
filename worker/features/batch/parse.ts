/** The requests of a batch, as submitted. */
import { limits } from "../../../shared/limits.ts";
import type { FieldError, UploadedFile } from "../../model/contract.ts";
import { storedFileName } from "../../model/records/file-name.ts";
import { badRequest } from "../../pb/api-error.ts";
import { BLANK, foldedValue, lengthError } from "../../pb/form-body.ts";
import type { BoundBody } from "../../pb/route.ts";

export interface BatchItem {
  method: string;
  url: string;
  headers: Readonly<Record<string, string>>;
  body: BoundBody;
}

/** @throws ApiError 400 for a shape that is not a batch, for none and for too many requests */
export function parseBatch({ values, files }: BoundBody, requestsMax: number): BatchItem[] {
  const requests = foldedValue(values, "requests") ?? [];
  if (!Array.isArray(requests)) throw unreadable();
  if (requests.length === 0) {
    throw invalid({ ...BLANK });
  }
  const items = requests.map((request: unknown, index): BatchItem => {
    if (!isObject(request)) throw unreadable();
    const uploads = filesOf(files, index);
    return {
      method: text(foldedValue(request, "method")),
      url: text(foldedValue(request, "url")),
      headers: texts(foldedValue(request, "headers")),
      body: { values: without(objectOf(foldedValue(request, "body")), uploads), files: uploads },
    };
  });
  if (items.length > requestsMax) {
    throw invalid({
      code: "validation_length_too_long",
      message: `The length must be no more than ${requestsMax}.`,
      params: { max: requestsMax, min: 0 },
    });
  }
  const errors = items.map(itemErrors);
  if (errors.some((found) => Object.keys(found).length > 0)) {
    throw invalid(Object.fromEntries(errors.entries().filter(([, found]) => Object.keys(found).length > 0)));
  }
  return items;
}

const METHODS = new Set(["GET", "POST", "PUT", "PATCH", "DELETE"]);

function itemErrors({ method, url }: BatchItem): Record<string, FieldError> {
  const errors: Record<string, FieldError> = {};
  if (method === "") errors["method"] = BLANK;
  else if (!METHODS.has(method)) {
    errors["method"] = { code: "validation_in_invalid", message: "Must be a valid value." };
  }
  if (url === "") errors["url"] = BLANK;
  else {
    const length = lengthError(url, 0, limits.batchUrlBytesMax);
    if (length !== undefined) errors["url"] = length;
  }
  return errors;
}

/** Files come as `requests.N.field` or `requests[N].field`. */
function filesOf(files: BoundBody["files"], index: number): Map<string, readonly UploadedFile[]> {
  const own = new Map<string, readonly UploadedFile[]>();
  for (const [key, list] of files) {
    for (const prefix of [`requests.${index}.`, `requests[${index}].`]) {
      if (key.startsWith(prefix)) own.set(key.slice(prefix.length), list.map(named));
    }
  }
  return own;
}

/** Here uploads take the place of the value that is there, where those of a single request join it. */
function without(
  values: Record<string, unknown>,
  uploads: ReadonlyMap<string, unknown>,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([key]) => !uploads.has(key)));
}

/** PocketBase names a file of a batch as an upload before it makes it one. */
function named(file: UploadedFile): UploadedFile {
  return { ...file, name: storedFileName(file) };
}

function unreadable() {
  return badRequest("Failed to read the submitted batch data.");
}

function invalid(error: Record<string, unknown>) {
  return badRequest("Invalid batch request data.", { requests: error });
}

function text(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw unreadable();
  return value;
}

function texts(value: unknown): Record<string, string> {
  return Object.fromEntries(Object.entries(objectOf(value)).map(([name, item]) => [name, text(item)]));
}

function objectOf(value: unknown): Record<string, unknown> {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw unreadable();
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
