/** Answers with an object as Go's file server answers with a file: conditions, ranges, and the headers of each. */
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { notFound } from "./api-error.ts";
import { type ByteRange, parseRanges } from "./byte-range.ts";
import { streamRange } from "./stream-range.ts";

export interface SentObject {
  key: string;
  size: number;
  /** Whole seconds. */
  modifiedMs: number;
  contentType: string;
  /** All others: how it may be used and kept. */
  headers: Headers;
}

/**
 * @param onOtherSize - told when the object has become another since its size was asked for
 * @throws ApiError 404 when it has gone since
 */
export async function sendObject(
  store: ObjectStore,
  request: Request,
  object: SentObject,
  onOtherSize?: () => void,
): Promise<Response> {
  const { key, size, modifiedMs, contentType } = object;
  const headers = new Headers(object.headers);
  headers.set("last-modified", new Date(modifiedMs).toUTCString());
  const unchanged = conditionalStatus(request, modifiedMs);
  if (unchanged === 412) headers.set("content-type", contentType);
  if (unchanged !== undefined) return new Response(null, { status: unchanged, headers });
  const ranges = parseRanges(wantedRanges(request, modifiedMs), size);
  if (!Array.isArray(ranges)) return refusal(ranges, object);
  headers.set("accept-ranges", "bytes");
  headers.set("content-type", contentType);
  const [range] = ranges;
  if (range !== undefined && ranges.length > 1) return severalParts(store, request, object, ranges, headers);
  headers.set("content-length", String(range?.length ?? size));
  if (range !== undefined) headers.set("content-range", contentRange(range, size));
  const status = range === undefined ? 200 : 206;
  if (request.method === "HEAD" || range?.length === 0) return new Response(null, { status, headers });
  if (range !== undefined)
    return new Response(streamRange(store, key, range, request.signal), { status, headers });
  const found = await store.get(key, { signal: request.signal });
  if (found === undefined) throw notFound();
  if (found.size !== size) {
    onOtherSize?.();
    headers.set("content-length", String(found.size));
  }
  return new Response(found.stream, { status, headers });
}

function conditionalStatus({ headers }: Request, modifiedMs: number): 304 | 412 | undefined {
  // Files have no entity tags: a list of them can only match by its asterisk.
  const [match, noneMatch] = [headers.get("if-match") ?? "", headers.get("if-none-match") ?? ""];
  const unmodifiedSince = httpDate(headers.get("if-unmodified-since"));
  if (match === "" ? modifiedMs > unmodifiedSince : !hasAsterisk(match)) return 412;
  if (noneMatch !== "") return hasAsterisk(noneMatch) ? 304 : undefined;
  return modifiedMs <= httpDate(headers.get("if-modified-since")) ? 304 : undefined;
}

/** The three forms that HTTP knows: with a comma behind the day's name, or as C prints a time. */
const HTTP_DATE = /^(?:[A-Z][a-z]+, .* GMT|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4})$/;

/** NaN for none and for what is no date of HTTP. */
function httpDate(text: string | null): number {
  if (text === null || !HTTP_DATE.test(text)) return Number.NaN;
  return Date.parse(text.endsWith("GMT") ? text : `${text} GMT`);
}

const hasAsterisk = (tags: string): boolean => /(?:^|,)\s*\*/.test(tags);

function wantedRanges({ headers }: Request, modifiedMs: number): string | null {
  const ifRange = headers.get("if-range");
  return ifRange !== null && httpDate(ifRange) !== modifiedMs ? null : headers.get("range");
}

function refusal(why: "invalid" | "unsatisfiable", { size, headers: given }: SentObject): Response {
  const headers = new Headers(given);
  headers.delete("cache-control");
  headers.set("content-type", "text/plain; charset=utf-8");
  if (why === "unsatisfiable") headers.set("content-range", `bytes */${size}`);
  const text = why === "invalid" ? "invalid range\n" : "invalid range: failed to overlap\n";
  return new Response(text, { status: 416, headers });
}

const contentRange = ({ offset, length }: ByteRange, size: number): string =>
  `bytes ${offset}-${offset + length - 1}/${size}`;

const BOUNDARY_CHARACTERS = 60;

function severalParts(
  store: ObjectStore,
  request: Request,
  { key, size, contentType }: SentObject,
  ranges: readonly ByteRange[],
  headers: Headers,
): Response {
  const boundary = `${crypto.randomUUID()}${crypto.randomUUID()}`
    .replaceAll("-", "")
    .slice(0, BOUNDARY_CHARACTERS);
  const heads = ranges.map(
    (range, index) =>
      `${index === 0 ? "" : "\r\n"}--${boundary}\r\nContent-Range: ${contentRange(range, size)}\r\nContent-Type: ${contentType}\r\n\r\n`,
  );
  const end = `\r\n--${boundary}--\r\n`;
  const sent = ranges.reduce((sum, { length }) => sum + length, 0);
  headers.set("content-type", `multipart/byteranges; boundary=${boundary}`);
  headers.set("content-length", String(sent + heads.join("").length + end.length));
  async function* body(): AsyncGenerator<Uint8Array, undefined> {
    const encoder = new TextEncoder();
    for (const [index, range] of ranges.entries()) {
      yield encoder.encode(heads[index]);
      if (range.length > 0) yield* streamRange(store, key, range, request.signal);
    }
    yield encoder.encode(end);
  }
  const parts = body();
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await parts.return(undefined);
    },
  });
  return new Response(request.method === "HEAD" ? null : stream, { status: 206, headers });
}
