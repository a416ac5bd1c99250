import { RestoreObjectCommand } from "@aws-sdk/client-s3";
import { UserError } from "../../../shared/errors.ts";
import type { S3Connection } from "./client.ts";
import { statusOf } from "./errors.ts";
import { getRange, headObject } from "./read.ts";

export async function thawObject(
  s3: S3Connection,
  key: string,
  days: number,
  signal: AbortSignal,
): Promise<void> {
  const head = await headObject(s3, key, signal);
  if (head === undefined)
    throw new UserError("not_found", `Cannot find object ${key}: it is not in the store`);
  if (head.thaw === "none" || head.thaw === "running") return;
  try {
    const request = { Days: days, GlacierJobParameters: { Tier: "Standard" as const } };
    const command = new RestoreObjectCommand({
      Bucket: s3.bucket,
      Key: s3.base + key,
      RestoreRequest: request,
    });
    await s3.patient.send(command, { abortSignal: signal });
  } catch (error) {
    const begun = error instanceof Error && error.name === "RestoreAlreadyInProgress";
    if (begun) return;
    // Stores that know the class only by name (Ceph) cannot restore, and keep the object readable.
    if (statusOf(error) !== 501 && statusOf(error) !== 405) throw error;
    await getRange(s3, key, { offset: 0, length: 1 }, { signal, progress: () => undefined });
  }
}
