import { Readable } from "node:stream";
import { PutObjectCommand, type PutObjectCommandInput } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { limits } from "../../../shared/limits.ts";
import type { ObjectBody, PutOptions, PutOutcome } from "../../../shared/objects/contract.ts";
import type { Deadline } from "../deadline.ts";
import { exactChunks } from "../stream.ts";
import type { S3Connection } from "./client.ts";
import { refusedPut } from "./errors.ts";
import { createInParts } from "./put-parts.ts";

/** One conditional PUT up to what a store takes in one: a multipart upload's condition is not known to all stores. */
export async function createObject(
  s3: S3Connection,
  key: string,
  body: ObjectBody,
  options: PutOptions,
  deadline: Deadline,
): Promise<PutOutcome> {
  if (!(body instanceof Uint8Array) && body.length > s3.putSingleBytesMax) {
    return createInParts(s3, key, body, options, deadline);
  }
  // A body that fails would leave the request open: it has to be cut by hand.
  const broken = new AbortController();
  const send = body instanceof Uint8Array ? body : Readable.from(moving(key, body, deadline));
  if (send instanceof Readable) send.on("error", (error) => broken.abort(error));
  const input = { ...request(s3, key, options), IfNoneMatch: "*", Body: send, ContentLength: body.length };
  try {
    const abortSignal = AbortSignal.any([deadline.signal, broken.signal]);
    await s3.once.send(new PutObjectCommand(input), { abortSignal });
    return "created";
  } catch (error) {
    deadline.signal.throwIfAborted();
    broken.signal.throwIfAborted();
    const outcome = refusedPut(error);
    if (outcome === undefined) throw error;
    return outcome;
  } finally {
    if (send instanceof Readable) send.destroy();
  }
}

/** Streams go in parts, few of them in memory; a failed upload leaves no parts behind. */
export async function overwriteObject(
  s3: S3Connection,
  key: string,
  body: ObjectBody,
  options: PutOptions,
  deadline: Deadline,
): Promise<void> {
  const input = request(s3, key, options);
  if (body instanceof Uint8Array) {
    const command = new PutObjectCommand({ ...input, Body: body, ContentLength: body.length });
    await s3.patient.send(command, { abortSignal: deadline.signal });
    return;
  }
  const upload = new Upload({
    client: s3.patient,
    params: { ...input, Body: Readable.from(moving(key, body, deadline)) },
    partSize: Math.max(s3.partBytes, Math.ceil(body.length / limits.storePartsMax)),
    queueSize: limits.storePartsParallel,
    leavePartsOnError: false,
  });
  upload.on("httpUploadProgress", deadline.progress);
  const abort = (): void => void upload.abort().catch(() => undefined);
  deadline.signal.addEventListener("abort", abort, { once: true });
  try {
    deadline.signal.throwIfAborted();
    await upload.done();
  } finally {
    deadline.signal.removeEventListener("abort", abort);
  }
}

function request(s3: S3Connection, key: string, options: PutOptions): Omit<PutObjectCommandInput, "Body"> {
  return {
    Bucket: s3.bucket,
    Key: s3.base + key,
    ...(options.storageClass === undefined ? {} : { StorageClass: options.storageClass }),
    ...(options.contentType === undefined ? {} : { ContentType: options.contentType }),
  };
}

async function* moving(
  key: string,
  body: { stream: ReadableStream<Uint8Array>; length: number },
  deadline: Deadline,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of exactChunks(key, body, deadline.signal)) {
    deadline.progress();
    yield chunk;
  }
}
