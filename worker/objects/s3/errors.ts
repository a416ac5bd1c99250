import { S3ServiceException } from "@aws-sdk/client-s3";
import { SystemError, UserError } from "../../../shared/errors.ts";

export function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

/** NoSuchKey of a GET; a HEAD has no body to name it and says NotFound. */
export function isMissing(error: unknown): boolean {
  return error instanceof S3ServiceException && (error.name === "NoSuchKey" || error.name === "NotFound");
}

/**
 * How a conditional PUT that failed is to be understood; undefined when it certainly did not happen.
 * 412 may be one's own earlier try, 409 a race whose winner is open.
 */
export function refusedPut(error: unknown): "exists" | "unknown" | undefined {
  if (error instanceof UserError) return undefined;
  const status = statusOf(error);
  if (status === 412) return "exists";
  if (status === undefined || status === 409 || status === 408 || status === 429) return "unknown";
  return status >= 500 && status !== 501 ? "unknown" : undefined;
}

/** What a failed request means to a user of the store; coded errors pass as they are. */
export function s3Error(what: string, bucket: string, error: unknown): unknown {
  if (error instanceof SystemError || error instanceof UserError) return error;
  const status = statusOf(error);
  const name = error instanceof Error ? error.name : "";
  if (name === "NoSuchBucket") {
    return new SystemError("store_missing", `Cannot ${what}: bucket ${bucket} does not exist`, {
      cause: error,
      hint: "Create the bucket, without versioning, or correct its name.",
    });
  }
  if (name === "InvalidObjectState") {
    return new SystemError("store_unavailable", `Cannot ${what}: it is archived`, {
      cause: error,
      hint: "Thaw it first.",
      details: { archived: true },
    });
  }
  if (status === 401 || status === 403) {
    return new SystemError(
      "store_unavailable",
      `Cannot ${what}: the store refuses these credentials (${name})`,
      {
        cause: error,
        hint: "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, their rights on the bucket, and this machine's clock.",
      },
    );
  }
  if (status === 501) {
    return new SystemError("store_misbehaves", `Cannot ${what}: the store does not implement it`, {
      cause: error,
      hint: "Use a store with conditional PUT (If-None-Match), such as AWS, R2, MinIO or Ceph.",
    });
  }
  const state =
    status === undefined ? `the store cannot be reached (${name})` : `the store answers ${status} ${name}`;
  return new SystemError("store_unavailable", `Cannot ${what}: ${state}`, { cause: error });
}
