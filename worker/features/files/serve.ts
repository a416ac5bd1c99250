/** Serves a file under headers that keep uploads from acting. */
import { LRUCache } from "lru-cache";
import { limits } from "../../../shared/limits.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { notFound } from "../../pb/api-error.ts";
import { contentTypeOf, sniffMime } from "../../pb/mime.ts";
import type { PbContext } from "../../pb/route.ts";
import { sendObject } from "../../pb/send-object.ts";

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
  /** With the character set of a text. */
  contentType: string;
}
/** By key: a stored file's bytes never change. */
const known = new LRUCache<string, ObjectFacts>({ max: limits.fileHeadersCacheMax });

/** @throws ApiError 404 when the store does not have it */
export async function serveObject(
  context: PbContext,
  store: ObjectStore,
  { key, name }: { key: string; name: string },
): Promise<Response> {
  const facts = await factsOf(store, key, context.request.signal);
  const headers = fileHeaders(facts, name, isTrue(context.query.get("download")));
  const contentType = BY_EXTENSION[extensionOf(name)] ?? facts.contentType;
  const object = { key, size: facts.size, modifiedMs: facts.modifiedMs, contentType, headers };
  // An import may put another file under the same name.
  return sendObject(store, context.request, object, () => known.delete(key));
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
  const bytes = start?.bytes ?? new Uint8Array();
  const mime = await sniffMime(bytes);
  const facts = {
    size: head.size,
    modifiedMs: Math.floor(head.modifiedMs / 1000) * 1000,
    mime,
    contentType: contentTypeOf(mime, bytes),
  };
  known.set(key, facts);
  return facts;
}

function fileHeaders({ mime }: ObjectFacts, name: string, isForced: boolean): Headers {
  const disposition = !isForced && INLINE.has(mime) ? "inline" : "attachment";
  return new Headers({
    "cache-control": "max-age=2592000, stale-while-revalidate=86400",
    "content-disposition": `${disposition}; filename=${encodeHeader(name)}`,
    "content-security-policy": "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox",
  });
}

const extensionOf = (name: string): string => name.slice(name.lastIndexOf(".") + 1);

/** Stored names are made of safe characters; imported ones may hold others. */
function encodeHeader(name: string): string {
  return name.replace(/[^\u0020-\u007e]|[";\\]/g, (char) => encodeURIComponent(char));
}

function isTrue(text: string | null): boolean {
  return text !== null && ["1", "t", "T", "TRUE", "true", "True"].includes(text);
}
