import {
  DeleteObjectsCommand,
  GetBucketVersioningCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  type ObjectIdentifier,
  S3ServiceException,
} from "@aws-sdk/client-s3";
import { SystemError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import type { Deadline } from "../deadline.ts";
import type { S3Connection } from "./client.ts";
import { statusOf } from "./errors.ts";

/** Whether what is overwritten or deleted is kept, as it also is after versioning was suspended; undefined when the store does not tell. */
export async function keepsVersions(s3: S3Connection, signal: AbortSignal): Promise<boolean | undefined> {
  try {
    const { Status } = await s3.patient.send(new GetBucketVersioningCommand({ Bucket: s3.bucket }), {
      abortSignal: signal,
    });
    return Status === "Enabled" || Status === "Suspended";
  } catch (error) {
    if (isUntold(error)) return undefined;
    throw error;
  }
}

/**
 * Deletes all versions and delete markers of all keys with this prefix.
 * @returns false when the store knows no versions, or does not let us see them; nothing was deleted then
 */
export async function deleteVersions(s3: S3Connection, prefix: string, deadline: Deadline): Promise<boolean> {
  for (;;) {
    // From the start each time: what was listed is gone.
    let page: ListObjectVersionsCommandOutput;
    try {
      const list = new ListObjectVersionsCommand({
        Bucket: s3.bucket,
        Prefix: s3.base + prefix,
        MaxKeys: limits.storeDeleteBatch,
      });
      page = await s3.patient.send(list, { abortSignal: deadline.signal });
    } catch (error) {
      if (isUntold(error)) return false;
      throw error;
    }
    const objects: ObjectIdentifier[] = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])].map(
      ({ Key, VersionId }) => ({ Key, VersionId }),
    );
    if (objects.length === 0) return true;
    const command = new DeleteObjectsCommand({
      Bucket: s3.bucket,
      Delete: { Objects: objects, Quiet: true },
    });
    const { Errors: failed = [] } = await s3.patient.send(command, { abortSignal: deadline.signal });
    const [first] = failed;
    if (first !== undefined) {
      throw new SystemError(
        "store_unavailable",
        `Cannot delete versions of ${first.Key ?? "objects"}: the store answers ${first.Code ?? "an error"}`,
        { hint: "Its credentials need s3:DeleteObjectVersion.", details: { failed: failed.length } },
      );
    }
    deadline.progress();
  }
}

function isUntold(error: unknown): boolean {
  const status = statusOf(error);
  return error instanceof S3ServiceException && (status === 403 || status === 501 || status === 405);
}
