import { DeleteObjectsCommand } from "@aws-sdk/client-s3";
import { SystemError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import type { Deadline } from "../deadline.ts";
import type { S3Connection } from "./client.ts";

export async function deleteObjects(
  s3: S3Connection,
  keys: readonly string[],
  deadline: Deadline,
): Promise<void> {
  for (let at = 0; at < keys.length; at += limits.storeDeleteBatch) {
    deadline.signal.throwIfAborted();
    const batch = keys.slice(at, at + limits.storeDeleteBatch).map((key) => ({ Key: s3.base + key }));
    const command = new DeleteObjectsCommand({ Bucket: s3.bucket, Delete: { Objects: batch, Quiet: true } });
    const { Errors: failed = [] } = await s3.patient.send(command, { abortSignal: deadline.signal });
    const [first] = failed;
    if (first !== undefined) {
      throw new SystemError(
        "store_unavailable",
        `Cannot delete ${first.Key ?? "objects"}: the store answers ${first.Code ?? "an error"}`,
        { details: { failed: failed.length } },
      );
    }
    deadline.progress();
  }
}
