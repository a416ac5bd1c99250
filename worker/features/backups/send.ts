import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { notFound } from "../../pb/api-error.ts";
import { sendObject } from "../../pb/send-object.ts";

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
    "cache-control": "max-age=2592000, stale-while-revalidate=86400",
    "content-disposition": `attachment; filename=${encodeURIComponent(name).replaceAll("%40", "@")}`,
    "content-security-policy": "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox",
    "x-frame-options": "SAMEORIGIN",
  });
  // A name can come again with another content: `If-Range` keeps two halves of different backups apart.
  const modifiedMs = Math.floor(head.modifiedMs / 1000) * 1000;
  const object = { key, size: head.size, modifiedMs, contentType: "application/zip", headers };
  return sendObject(objects, request, object);
}
