import { GetObjectCommand, type GetObjectCommandOutput, HeadObjectCommand } from "@aws-sdk/client-s3";
import { SystemError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import type { GetResult, ObjectHead, StorageClass } from "../../../shared/objects/contract.ts";
import type { Deadline } from "../deadline.ts";
import { guardedStream } from "../stream.ts";
import type { S3Connection } from "./client.ts";
import { isMissing, s3Error, statusOf } from "./errors.ts";

export async function getObject(
  s3: S3Connection,
  key: string,
  requestSignal: AbortSignal,
  callerSignal: AbortSignal | undefined,
): Promise<GetResult | undefined> {
  const found = await get(s3, key, undefined, requestSignal);
  if (found === undefined) return undefined;
  const what = `read ${key}`;
  const size = found.ContentLength ?? 0;
  const stream = guardedStream(what, chunks(s3, what, found), s3.requestMs, callerSignal);
  return { size, stream };
}

/** A range that stops half-way goes on from there: what has come is not asked for again. */
export async function getRange(
  s3: S3Connection,
  key: string,
  range: { offset: number; length: number } | { suffix: number },
  { signal, progress }: Deadline,
): Promise<{ bytes: Uint8Array; size: number } | undefined> {
  const empty = "suffix" in range ? range.suffix === 0 : range.length === 0;
  try {
    const found = empty ? null : await get(s3, key, rangeHeader(range), signal);
    if (found === undefined) return undefined;
    if (found !== null) return await wholeRange(s3, key, found, { signal, progress });
  } catch (error) {
    if (statusOf(error) !== 416) throw error;
  }
  // HTTP has no name for an empty range, nor for one that starts at the end.
  const head = await headObject(s3, key, signal);
  return head && { bytes: new Uint8Array(), size: head.size };
}

const rangeHeader = (range: { offset: number; length: number } | { suffix: number }): string =>
  "suffix" in range ? `bytes=-${range.suffix}` : `bytes=${range.offset}-${range.offset + range.length - 1}`;

async function wholeRange(
  s3: S3Connection,
  key: string,
  first: GetObjectCommandOutput,
  { signal, progress }: Deadline,
): Promise<{ bytes: Uint8Array; size: number }> {
  const { start, length, size } = placeOf(key, first);
  const bytes = new Uint8Array(length);
  let answer: GetObjectCommandOutput | undefined = first;
  let filled = 0;
  for (let attempt = 1; ; attempt++) {
    try {
      for await (const chunk of moving(s3, key, answer, signal)) {
        if (chunk.length > bytes.length - filled) {
          throw new SystemError("store_misbehaves", `Cannot read a range of ${key}: the store sends more`);
        }
        bytes.set(chunk, filled);
        filled += chunk.length;
        progress();
      }
    } catch (error) {
      if (signal.aborted || (error instanceof SystemError && error.code !== "store_unavailable")) throw error;
    }
    if (filled === bytes.length) return { bytes, size };
    if (attempt >= limits.storeAttemptsMax) {
      throw new SystemError(
        "store_unavailable",
        `Cannot read ${key}: the connection broke at byte ${filled}`,
      );
    }
    progress();
    const rest = { offset: start + filled, length: bytes.length - filled };
    answer = await get(s3, key, rangeHeader(rest), signal);
    if (answer !== undefined && placeOf(key, answer).start !== rest.offset) {
      throw new SystemError("store_misbehaves", `Cannot read a range of ${key}: the store sends another`);
    }
  }
}

export async function headObject(
  s3: S3Connection,
  key: string,
  signal: AbortSignal,
): Promise<ObjectHead | undefined> {
  try {
    const command = new HeadObjectCommand({ Bucket: s3.bucket, Key: s3.base + key });
    const head = await s3.patient.send(command, { abortSignal: signal });
    const storageClass = (head.StorageClass ?? "STANDARD") as StorageClass;
    return {
      key,
      size: head.ContentLength ?? 0,
      modifiedMs: head.LastModified?.getTime() ?? 0,
      storageClass,
      thaw: thawState(storageClass, head.Restore),
    };
  } catch (error) {
    if (!isMissing(error)) throw error;
    return undefined;
  }
}

/** `restore` is the header x-amz-restore, e.g. `ongoing-request="false", expiry-date="…"`. */
export function thawState(storageClass: StorageClass, restore: string | undefined): ObjectHead["thaw"] {
  if (storageClass !== "GLACIER" && storageClass !== "DEEP_ARCHIVE") return "none";
  if (restore === undefined) return "needed";
  return restore.includes('ongoing-request="true"') ? "running" : "done";
}

async function get(
  s3: S3Connection,
  key: string,
  range: string | undefined,
  signal: AbortSignal,
): Promise<GetObjectCommandOutput | undefined> {
  try {
    const input = { Bucket: s3.bucket, Key: s3.base + key, ...(range === undefined ? {} : { Range: range }) };
    return await s3.patient.send(new GetObjectCommand(input), { abortSignal: signal });
  } catch (error) {
    if (!isMissing(error)) throw error;
    return undefined;
  }
}

/** The body's chunks; fails when none comes for a while. */
function moving(
  s3: S3Connection,
  key: string,
  found: GetObjectCommandOutput | undefined,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const body = found?.Body?.transformToWebStream() as ReadableStream<Uint8Array> | undefined;
  const idleMs = Math.min(limits.storeBodyIdleMs, s3.requestMs / 4);
  return guardedStream(`read ${key}`, body?.[Symbol.asyncIterator]() ?? nothing(), idleMs, signal);
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** Where an answer's bytes stand, and how large the object is. */
function placeOf(
  key: string,
  found: GetObjectCommandOutput,
): { start: number; length: number; size: number } {
  const [, first, last, size] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(found.ContentRange ?? "") ?? [];
  if (first !== undefined && last !== undefined && size !== undefined) {
    const start = Number(first);
    return { start, length: Number(last) - start + 1, size: Number(size) };
  }
  throw new SystemError("store_misbehaves", `Cannot read a range of ${key}: the store ignores ranges`);
}

async function* chunks(
  s3: S3Connection,
  what: string,
  found: GetObjectCommandOutput,
): AsyncGenerator<Uint8Array> {
  let seen = 0;
  try {
    if (found.Body !== undefined) {
      for await (const chunk of found.Body.transformToWebStream() as ReadableStream<Uint8Array>) {
        seen += chunk.length;
        yield chunk;
      }
    }
  } catch (error) {
    throw s3Error(what, s3.bucket, error);
  }
  if (seen !== found.ContentLength) {
    throw new SystemError("store_unavailable", `Cannot ${what}: the connection broke at byte ${seen}`);
  }
}
