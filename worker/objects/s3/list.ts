import { ListObjectsV2Command } from "@aws-sdk/client-s3";
import { limits } from "../../../shared/limits.ts";
import type { ListOptions, ListPage } from "../../../shared/objects/contract.ts";
import { compareKeys } from "../key.ts";
import type { S3Connection } from "./client.ts";

/** ListObjectsV2 is in byte order of the keys already. */
export async function listObjects(
  s3: S3Connection,
  options: ListOptions,
  signal: AbortSignal,
): Promise<ListPage> {
  const { prefix, startAfter, delimiter } = options;
  // A folded prefix as `startAfter` is the end of a page: all of its keys sort after it, so the store may fold
  // them once more. One entry more is asked for in its place.
  const folded = startAfter !== undefined && delimiter !== undefined && startAfter.endsWith(delimiter);
  const limit = Math.min(options.limit ?? limits.storeListPage, limits.storeListPage);
  const answer = await s3.patient.send(
    new ListObjectsV2Command({
      Bucket: s3.bucket,
      Prefix: s3.base + prefix,
      MaxKeys: Math.min(limit + (folded ? 1 : 0), limits.storeListPage),
      ...(startAfter === undefined ? {} : { StartAfter: s3.base + startAfter }),
      ...(delimiter === undefined ? {} : { Delimiter: delimiter }),
    }),
    { abortSignal: signal },
  );
  const objects = (answer.Contents ?? []).map((object) => ({
    key: (object.Key ?? "").slice(s3.base.length),
    size: object.Size ?? 0,
    modifiedMs: object.LastModified?.getTime() ?? 0,
  }));
  const prefixes = (answer.CommonPrefixes ?? [])
    .map(({ Prefix = "" }) => Prefix.slice(s3.base.length))
    .filter((found) => found !== startAfter);
  return cut({ objects, prefixes }, limit, answer.IsTruncated === true);
}

function cut(page: ListPage, limit: number, more: boolean): ListPage {
  const keys = [...page.objects.map(({ key }) => key), ...page.prefixes].sort(compareKeys);
  const last = keys.slice(0, limit).at(-1);
  if (last === undefined || (!more && keys.length <= limit)) return page;
  return {
    objects: page.objects.filter(({ key }) => compareKeys(key, last) <= 0),
    prefixes: page.prefixes.filter((prefix) => compareKeys(prefix, last) <= 0),
    next: last,
  };
}
