import { SystemError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";

/** What is there does not open: changed, cut off, swapped with another, or sealed with another key. */
export function tampered(what: string, state: string, cause?: unknown): SystemError {
  return new SystemError("object_corrupt", `Cannot decrypt ${what}: ${state}`, {
    hint: "Put the original back from the bucket's versions or a backup. Nothing was changed or deleted.",
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Content of an encrypted tenant that is not encrypted. */
export function downgraded(what: string): SystemError {
  return new SystemError("object_corrupt", `Cannot use ${what}: it is plain, and its tenant is encrypted`, {
    hint: "Somebody else wrote it. Find out who can write to the store, and remove it.",
  });
}

export function keyMissing(tenant: TenantId): SystemError {
  return new SystemError(
    "data_key_missing",
    `Cannot load tenant ${tenant}: it is encrypted, and its data key is not in object storage`,
    {
      hint: `Put the objects under tenants/${tenant}/keys/ back from the bucket's versions or a copy of it. Nothing was created.`,
    },
  );
}

export function noKeys(tenant: TenantId): SystemError {
  return new SystemError(
    "keys_not_configured",
    `Cannot load tenant ${tenant}: it is encrypted, and this worker has no key-encryption keys`,
    { hint: "Start the worker with --keys local:<file> or --keys kms:<key arn>." },
  );
}

export function keyRefused(what: string, state: string, cause?: unknown): SystemError {
  return new SystemError("key_refused", `Cannot unwrap ${what}: ${state}`, {
    hint: "Give the worker the key-encryption key that wrapped it (--keys), or rotate with a keyring that still has it.",
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Its last lease has ended, or it never had one. */
export function notOpen(tenant: TenantId): SystemError {
  return new SystemError(
    "tenant_stopped",
    `Cannot use objects of tenant ${tenant}: it is not on this worker`,
    {
      hint: "Try again: the request finds its new place.",
      retryAfterMs: 1_000,
    },
  );
}
