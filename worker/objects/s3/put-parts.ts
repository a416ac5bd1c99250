import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { SystemError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import type { PutOptions, PutOutcome } from "../../../shared/objects/contract.ts";
import type { Deadline } from "../deadline.ts";
import { exactChunks } from "../stream.ts";
import type { S3Connection } from "./client.ts";
import { refusedPut } from "./errors.ts";
import { headObject } from "./read.ts";

/**
 * Creates an object that is too large for one PUT: in parts, on condition that there is none when they are put together. Not all
 * stores know that condition, so whoever comes second is told by a look beforehand as well; nothing that fencing rests on is this large.
 */
export async function createInParts(
  s3: S3Connection,
  key: string,
  body: { stream: ReadableStream<Uint8Array>; length: number },
  options: PutOptions,
  deadline: Deadline,
): Promise<PutOutcome> {
  const abortSignal = deadline.signal;
  if ((await headObject(s3, key, abortSignal)) !== undefined) {
    await body.stream.cancel().catch(() => undefined);
    return "exists";
  }
  const target = {
    Bucket: s3.bucket,
    Key: s3.base + key,
    ...(options.storageClass === undefined ? {} : { StorageClass: options.storageClass }),
    ...(options.contentType === undefined ? {} : { ContentType: options.contentType }),
  };
  const { UploadId } = await s3.patient.send(new CreateMultipartUploadCommand(target), { abortSignal });
  const upload = { Bucket: s3.bucket, Key: s3.base + key, UploadId };
  const giveUp = async (): Promise<void> => {
    const cleanup = AbortSignal.timeout(s3.requestMs);
    await s3.patient
      .send(new AbortMultipartUploadCommand(upload), { abortSignal: cleanup })
      .catch(() => undefined);
  };
  let parts: CompletedPart[];
  try {
    parts = await sendParts(s3, key, body, upload, deadline);
  } catch (error) {
    await giveUp();
    throw error;
  }
  try {
    const command = new CompleteMultipartUploadCommand({
      ...upload,
      MultipartUpload: { Parts: parts },
      IfNoneMatch: "*",
    });
    await s3.once.send(command, { abortSignal });
    return "created";
  } catch (error) {
    deadline.signal.throwIfAborted();
    const outcome = refusedPut(error);
    if (outcome !== "unknown") await giveUp();
    if (outcome === undefined) throw error;
    return outcome;
  }
}

async function sendParts(
  s3: S3Connection,
  key: string,
  body: { stream: ReadableStream<Uint8Array>; length: number },
  upload: { Bucket: string; Key: string; UploadId: string | undefined },
  deadline: Deadline,
): Promise<CompletedPart[]> {
  const parts: CompletedPart[] = [];
  const underWay: Promise<void>[] = [];
  const send = async (number: number, bytes: Uint8Array): Promise<void> => {
    const command = new UploadPartCommand({ ...upload, PartNumber: number, Body: bytes });
    const { ETag } = await s3.patient.send(command, { abortSignal: deadline.signal });
    if (ETag === undefined) {
      throw new SystemError("store_misbehaves", `Cannot store ${key}: a part has no tag`);
    }
    deadline.progress();
    parts[number - 1] = { PartNumber: number, ETag };
  };
  try {
    let number = 0;
    for await (const bytes of inParts(s3, key, body, deadline)) {
      if (underWay.length >= limits.storePartsParallel) await underWay.shift();
      const sent = send(++number, bytes);
      sent.catch(() => undefined);
      underWay.push(sent);
    }
    await Promise.all(underWay);
  } finally {
    await Promise.allSettled(underWay);
  }
  return parts;
}

async function* inParts(
  s3: S3Connection,
  key: string,
  body: { stream: ReadableStream<Uint8Array>; length: number },
  deadline: Deadline,
): AsyncGenerator<Uint8Array> {
  const partBytes = Math.max(s3.partBytes, Math.ceil(body.length / limits.storePartsMax));
  let part = new Uint8Array(Math.min(partBytes, body.length));
  let [used, left] = [0, body.length];
  for await (const chunk of exactChunks(key, body, deadline.signal)) {
    deadline.progress();
    for (let at = 0; at < chunk.length;) {
      const taken = chunk.subarray(at, at + part.length - used);
      part.set(taken, used);
      used += taken.length;
      at += taken.length;
      if (used < part.length) continue;
      yield part;
      left -= used;
      part = new Uint8Array(Math.min(partBytes, left));
      used = 0;
    }
  }
}
