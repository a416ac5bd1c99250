import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { SystemError, UserError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import type { PutOptions } from "../../../shared/objects/contract.ts";
import type { Deadline } from "../deadline.ts";
import type { S3Connection } from "./client.ts";
import { headObject } from "./read.ts";

/** The bytes stay in the store. */
export async function copyObject(
  s3: S3Connection,
  from: string,
  to: string,
  options: PutOptions,
  deadline: Deadline,
): Promise<void> {
  const source = await headObject(s3, from, deadline.signal);
  if (source === undefined) {
    throw new UserError("not_found", `Cannot find object ${from}: it is not in the store`);
  }
  const target = {
    Bucket: s3.bucket,
    Key: s3.base + to,
    StorageClass: options.storageClass ?? ("STANDARD" as const),
    ...(options.contentType === undefined ? {} : { ContentType: options.contentType }),
  };
  const CopySource = [s3.bucket, ...(s3.base + from).split("/")].map(encodeURIComponent).join("/");
  if (source.size > s3.copySingleBytesMax) {
    await copyInParts(s3, { target, CopySource, size: source.size }, deadline);
    return;
  }
  const replaced = options.contentType === undefined ? {} : { MetadataDirective: "REPLACE" as const };
  await s3.patient.send(new CopyObjectCommand({ ...target, ...replaced, CopySource }), {
    abortSignal: deadline.signal,
  });
}

interface LargeCopy {
  target: { Bucket: string; Key: string };
  CopySource: string;
  size: number;
}

async function copyInParts(s3: S3Connection, copy: LargeCopy, deadline: Deadline): Promise<void> {
  const abortSignal = deadline.signal;
  const { UploadId } = await s3.patient.send(new CreateMultipartUploadCommand(copy.target), { abortSignal });
  const upload = { Bucket: copy.target.Bucket, Key: copy.target.Key, UploadId };
  try {
    const ranges = partRanges(copy.size, s3.copyPartBytes);
    const parts: CompletedPart[] = [];
    for (let at = 0; at < ranges.length; at += limits.storeCopyPartsParallel) {
      const batch = ranges.slice(at, at + limits.storeCopyPartsParallel).map(async (range, index) => {
        const PartNumber = at + index + 1;
        const part = { ...upload, PartNumber, CopySource: copy.CopySource, CopySourceRange: range };
        const { CopyPartResult } = await s3.patient.send(new UploadPartCopyCommand(part), { abortSignal });
        if (CopyPartResult?.ETag === undefined) {
          throw new SystemError("store_misbehaves", `Cannot copy ${copy.CopySource}: a part has no tag`);
        }
        deadline.progress();
        return { PartNumber, ETag: CopyPartResult.ETag };
      });
      parts.push(...(await Promise.all(batch)));
    }
    const complete = new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } });
    await s3.patient.send(complete, { abortSignal });
  } catch (error) {
    const cleanup = AbortSignal.timeout(s3.requestMs);
    await s3.patient
      .send(new AbortMultipartUploadCommand(upload), { abortSignal: cleanup })
      .catch(() => undefined);
    throw error;
  }
}

/** Headers of the form `bytes=first-last`. */
export function partRanges(size: number, partBytes: number): string[] {
  const step = Math.max(partBytes, Math.ceil(size / limits.storePartsMax));
  return Array.from({ length: Math.ceil(size / step) }, (_, part) => {
    return `bytes=${part * step}-${Math.min(size, (part + 1) * step) - 1}`;
  });
}
