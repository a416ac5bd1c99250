/** Reads and binds a request's body by its content type, bounded. */
import { limits } from "../../shared/limits.ts";
import type { UploadedFile } from "../model/contract.ts";
import { ApiError, badRequest } from "./api-error.ts";
import { inferValues } from "./form-values.ts";
import { sniffBlob } from "./mime.ts";
import { isCleanQuery } from "./parse-query.ts";
import type { BoundBody } from "./route.ts";
import { type SpooledForm, spoolForm } from "./spooled-form.ts";

export const EMPTY_BODY: BoundBody = { values: {}, files: new Map() };

/**
 * @param temporary - a directory for large files
 * @throws ApiError 413 above `bytesMax`, 400 for what cannot be read or an unknown content type, 408 for a body that takes
 *   longer than `limits.bodyReadMsMax`
 */
export function bindBody(request: Request, bytesMax: number, temporary: string): Promise<BoundBody> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new ApiError(408, "The request body took too long to arrive.")),
    limits.bodyReadMsMax,
  );
  return Promise.race([bind(request, bytesMax, temporary), late]).finally(() => clearTimeout(timer));
}

async function bind(request: Request, bytesMax: number, temporary: string): Promise<BoundBody> {
  const length = request.headers.get("content-length");
  if (request.body === null || length === "0") return EMPTY_BODY;
  if (length !== null && Number(length) > bytesMax) throw tooLarge();
  const type = request.headers.get("content-type") ?? "";
  if (type.startsWith("application/json")) {
    return { values: parseJson(await readText(request, length, bytesMax)), files: EMPTY_BODY.files };
  }
  if (type.startsWith("multipart/form-data")) return bindForm(request, type, length, bytesMax, temporary);
  if (type.startsWith("application/x-www-form-urlencoded")) {
    const text = await readText(request, length, bytesMax);
    if (text.length > limits.formTextCharactersMax || !isCleanQuery(text)) throw badRequest();
    return { values: inferOrFail(new URLSearchParams(text)), files: EMPTY_BODY.files };
  }
  // XML is a type that PocketBase knows and whose text it then cannot bind to a record.
  throw badRequest(/^(?:application|text)\/xml/.test(type) ? "" : "Unsupported Content-Type");
}

function tooLarge(): ApiError {
  return new ApiError(413, "Request entity too large");
}

function parseJson(text: string): Record<string, unknown> {
  const parsed = parseFirst(text);
  if (parsed === null) return {};
  if (typeof parsed !== "object" || Array.isArray(parsed)) throw badRequest();
  return parsed as Record<string, unknown>;
}

/** As a decoder of a stream: what follows the first object is not looked at; numbers beyond a float are refused. */
function parseFirst(text: string): unknown {
  let parsed: unknown;
  try {
    // Half of a surrogate pair is what no Go text can hold.
    parsed = /\\u[dD][89a-fA-F]/.test(text) ? JSON.parse(text, wellFormed) : JSON.parse(text);
  } catch (cause) {
    const end = endOfObject(text);
    if (end === undefined || end === text.length) throw badRequest("", undefined, cause);
    return parseFirst(text.slice(0, end));
  }
  if (HUGE_NUMBER.test(text) && holdsInfinity(parsed)) throw badRequest();
  return parsed;
}

function wellFormed(_: string, value: unknown): unknown {
  return typeof value === "string" ? value.toWellFormed() : value;
}

const HUGE_NUMBER = /\d[eE]\+?\d{3}|\d{300}/;

function holdsInfinity(value: unknown): boolean {
  if (typeof value === "number") return !Number.isFinite(value);
  return typeof value === "object" && value !== null && Object.values(value).some(holdsInfinity);
}

/** Where the object that the text begins with ends. */
function endOfObject(text: string): number | undefined {
  let depth = 0;
  let inText = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (inText) {
      if (char === "\\") at += 1;
      else if (char === '"') inText = false;
    } else if (char === '"') inText = true;
    else if (char === "{") depth += 1;
    else if (char === "}" && --depth <= 0) return at + 1;
  }
  return undefined;
}

function inferOrFail(entries: Iterable<readonly [string, string]>): Record<string, unknown> {
  try {
    return inferValues(entries);
  } catch (cause) {
    throw badRequest("", undefined, cause);
  }
}

async function bindForm(
  request: Request,
  type: string,
  length: string | null,
  bytesMax: number,
  temporary: string,
): Promise<BoundBody> {
  let form: Form;
  try {
    const isSmall = length !== null && Number(length) <= limits.formFileMemoryBytesMax;
    form = isSmall
      ? await readSmallForm(request, type, temporary)
      : await spoolForm(request, type, bytesMax, temporary);
  } catch (cause) {
    if (cause instanceof ApiError) throw cause;
    throw badRequest("", undefined, cause);
  }
  const { texts, discard } = form;
  try {
    const files = new Map<string, UploadedFile[]>();
    for (const { key, name, blob } of form.files) {
      // A file input that was left empty; what has no name is no file.
      if (name === "") {
        texts.push([key, blob.size <= limits.formFileMemoryBytesMax ? await blob.text() : ""]);
        continue;
      }
      const file = { name, size: blob.size, mime: await sniffBlob(blob), blob };
      const known = files.get(key);
      if (known === undefined) files.set(key, [file]);
      else known.push(file);
    }
    return { values: inferOrFail(texts), files, ...(discard === undefined ? {} : { discard }) };
  } catch (error) {
    await discard?.();
    throw error;
  }
}

type Form = Omit<SpooledForm, "discard"> & Partial<Pick<SpooledForm, "discard">>;

/** The runtime's own parser is the faster one; it does not know names in the form of RFC 5987, which some clients send. */
async function readSmallForm(request: Request, type: string, temporary: string): Promise<Form> {
  const bytes = await request.bytes();
  if (!Buffer.from(bytes.buffer).includes(EXTENDED_NAME)) {
    return inMemory(await new Response(bytes, { headers: { "content-type": type } }).formData());
  }
  const copy = new Request(request.url, { method: "POST", body: bytes, signal: request.signal });
  return spoolForm(copy, type, bytes.length, temporary);
}

const EXTENDED_NAME = "filename*=";

function inMemory(form: FormData): Form {
  const texts: [string, string][] = [];
  const files: Form["files"] = [];
  for (const [key, value] of form) {
    if (typeof value === "string") texts.push([key, value]);
    // Where the file name is empty Bun gives none at all.
    else files.push({ key, name: value.name ?? "", blob: value });
  }
  return { texts, files };
}

async function readText(request: Request, length: string | null, bytesMax: number): Promise<string> {
  if (length === null) return KEEPS_MARK.decode(await readBounded(request, bytesMax));
  const text = await request.text();
  // A byte order mark is dropped without a word, and the only thing that makes a text shorter than what came.
  return Buffer.byteLength(text) < Number(length) ? `\ufeff${text}` : text;
}

/** As in Go, where a byte order mark is a character as any other. */
const KEEPS_MARK = new TextDecoder("utf-8", { ignoreBOM: true });

/** For bodies of unannounced length. */
async function readBounded(request: Request, bytesMax: number): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > bytesMax) throw tooLarge();
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
