import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { notFound } from "../../pb/api-error.ts";
import { type ByteRange, parseRange } from "../../pb/byte-range.ts";
import { streamRange } from "../../pb/stream-range.ts";

/** A backup, or the part of it that is asked for: a download of gigabytes that breaks goes on where it was. @throws ApiError 404 */
export async function sendBackup(
  objects: ObjectStore,
  key: string,
  name: string,
  request: Request,
): Promise<Response> {
  const { signal } = request;
  const head = await objects.head(key, { signal });
  if (head === undefined) throw notFound();
  const headers = new Headers({
    "accept-ranges": "bytes",
    "cache-control": "max-age=2592000, stale-while-revalidate=86400",
    "content-disposition": `attachment; filename=${encodeURIComponent(name).replaceAll("%40", "@")}`,
    "content-security-policy": "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox",
    "content-type": "application/zip",
    "last-modified": new Date(head.modifiedMs).toUTCString(),
  });
  const range = wanted(request, head.modifiedMs, head.size);
  if (range === "unsatisfiable") {
    headers.set("content-range", `bytes */${head.size}`);
    headers.set("content-type", "text/plain; charset=utf-8");
    return new Response("invalid range: failed to overlap\n", { status: 416, headers });
  }
  const { offset, length } = range ?? { offset: 0, length: head.size };
  headers.set("content-length", String(length));
  if (range !== undefined)
    headers.set("content-range", `bytes ${offset}-${offset + length - 1}/${head.size}`);
  const status = range === undefined ? 200 : 206;
  if (request.method === "HEAD") return new Response(null, { status, headers });
  if (range !== undefined) return new Response(streamRange(objects, key, range, signal), { status, headers });
  const found = await objects.get(key, { signal });
  if (found === undefined) throw notFound();
  headers.set("content-length", String(found.size));
  return new Response(found.stream, { status, headers });
}

/** A name can come again with another content: `If-Range` keeps two halves of different backups apart. */
function wanted(request: Request, modifiedMs: number, size: number): ByteRange | "unsatisfiable" | undefined {
  const ifRange = request.headers.get("if-range");
  if (ifRange !== null && Date.parse(ifRange) !== Math.floor(modifiedMs / 1000) * 1000) return undefined;
  return parseRange(request.headers.get("range"), size);
}
