/** Serves an object as a web server serves a file: ranges, conditions, and headers that keep uploads from acting. */
import { LRUCache } from "lru-cache";
import { limits } from "../../../shared/limits.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { notFound } from "../../pb/api-error.ts";
import { type ByteRange, parseRange } from "../../pb/byte-range.ts";
import { sniffMime } from "../../pb/mime.ts";
import type { PbContext } from "../../pb/route.ts";
import { streamRange } from "../../pb/stream-range.ts";

const INLINE = new Set([
  ...["png", "jpg", "jpeg", "gif", "webp", "x-icon", "bmp"].map((type) => `image/${type}`),
  ...["webm", "mp4", "3gpp", "quicktime", "x-ms-wmv"].map((type) => `video/${type}`),
  ...["basic", "aiff", "mpeg", "midi", "mp3", "wave", "wav", "x-wav", "x-mpeg", "x-m4a", "aac"].map(
    (type) => `audio/${type}`,
  ),
  "application/pdf",
  "application/x-pdf",
]);
/** Types that bytes do not tell. */
const BY_EXTENSION: Readonly<Record<string, string>> = {
  svg: "image/svg+xml",
  css: "text/css",
  js: "text/javascript",
  mjs: "text/javascript",
};

interface ObjectFacts {
  size: number;
  modifiedMs: number;
  mime: string;
}
/** By key: a stored file's bytes never change. */
const known = new LRUCache<string, ObjectFacts>({ max: limits.fileHeadersCacheMax });

/** @throws ApiError 404 when the store does not have it */
export async function serveObject(
  context: PbContext,
  store: ObjectStore,
  { key, name }: { key: string; name: string },
): Promise<Response> {
  const { request } = context;
  const facts = await factsOf(store, key, request.signal);
  const headers = fileHeaders(facts, name, isTrue(context.query.get("download")));
  const unchanged = conditionalStatus(request, facts.modifiedMs);
  if (unchanged !== undefined) {
    if (unchanged === 304) headers.delete("content-type");
    return new Response(null, { status: unchanged, headers });
  }
  const range = wantedRange(request, facts);
  if (range === "unsatisfiable") {
    headers.set("content-range", `bytes */${facts.size}`);
    headers.set("content-type", "text/plain; charset=utf-8");
    return new Response("invalid range: failed to overlap\n", { status: 416, headers });
  }
  const { offset, length } = range ?? { offset: 0, length: facts.size };
  headers.set("content-length", String(length));
  if (range !== undefined)
    headers.set("content-range", `bytes ${offset}-${offset + length - 1}/${facts.size}`);
  const status = range === undefined ? 200 : 206;
  if (request.method === "HEAD") return new Response(null, { status, headers });
  if (range !== undefined)
    return new Response(streamRange(store, key, range, request.signal), { status, headers });
  const found = await store.get(key, { signal: request.signal });
  if (found === undefined) throw notFound();
  if (found.size !== facts.size) {
    // An import has put another file under the same name.
    known.delete(key);
    headers.set("content-length", String(found.size));
  }
  return new Response(found.stream, { status, headers });
}

export async function factsOf(store: ObjectStore, key: string, signal: AbortSignal): Promise<ObjectFacts> {
  const cached = known.get(key);
  if (cached !== undefined) return cached;
  const head = await store.head(key, { signal });
  if (head === undefined) throw notFound();
  const start = await store.range(
    key,
    { offset: 0, length: Math.min(head.size, limits.sniffBytesMax) },
    { signal },
  );
  const mime = await sniffMime(start?.bytes ?? new Uint8Array());
  const facts = { size: head.size, modifiedMs: Math.floor(head.modifiedMs / 1000) * 1000, mime };
  known.set(key, facts);
  return facts;
}

function fileHeaders({ mime, modifiedMs }: ObjectFacts, name: string, isForced: boolean): Headers {
  const extension = name.slice(name.lastIndexOf(".") + 1).toLowerCase();
  const disposition = !isForced && INLINE.has(mime) ? "inline" : "attachment";
  return new Headers({
    "accept-ranges": "bytes",
    "cache-control": "max-age=2592000, stale-while-revalidate=86400",
    "content-disposition": `${disposition}; filename=${encodeHeader(name)}`,
    "content-security-policy": "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox",
    "content-type": BY_EXTENSION[extension] ?? withCharset(mime),
    "last-modified": new Date(modifiedMs).toUTCString(),
  });
}

function withCharset(mime: string): string {
  return ["text/plain", "text/html", "text/xml"].includes(mime) ? `${mime}; charset=utf-8` : mime;
}

/** Stored names are made of safe characters; imported ones may hold others. */
function encodeHeader(name: string): string {
  return name.replace(/[^\u0020-\u007e]|[";\\]/g, (char) => encodeURIComponent(char));
}

function conditionalStatus(request: Request, modifiedMs: number): 304 | 412 | undefined {
  const unmodifiedSince = Date.parse(request.headers.get("if-unmodified-since") ?? "");
  if (modifiedMs > unmodifiedSince) return 412;
  const modifiedSince = Date.parse(request.headers.get("if-modified-since") ?? "");
  return modifiedMs <= modifiedSince && request.headers.get("if-none-match") === null ? 304 : undefined;
}

function wantedRange(request: Request, facts: ObjectFacts): ByteRange | "unsatisfiable" | undefined {
  const ifRange = request.headers.get("if-range");
  if (ifRange !== null && Date.parse(ifRange) !== facts.modifiedMs) return undefined;
  return parseRange(request.headers.get("range"), facts.size);
}

function isTrue(text: string | null): boolean {
  return text !== null && ["1", "t", "T", "TRUE", "true", "True"].includes(text);
}
