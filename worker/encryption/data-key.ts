import { z } from "zod";
import { SystemError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { base64Url, fromBase64Url } from "../../shared/protocol/mac.ts";
import { tampered } from "./errors.ts";

export const DATA_KEY_BYTES = 32;

/** A tenant's unwrapped data keys by version; the highest one seals, all open. */
export class DataKeys {
  readonly tenant: TenantId;
  readonly #keys = new Map<number, Uint8Array>();

  constructor(tenant: TenantId) {
    this.tenant = tenant;
  }

  get isEmpty(): boolean {
    return this.#keys.size === 0;
  }

  add(version: number, key: Uint8Array): void {
    this.#keys.set(version, key);
  }

  /** @throws SystemError `data_key_missing` */
  get newest(): { version: number; key: Uint8Array } {
    const version = Math.max(0, ...this.#keys.keys());
    return { version, key: this.version(version, `tenant ${this.tenant}`) };
  }

  /** @param what - that needs it @throws SystemError `data_key_missing` */
  version(version: number, what: string): Uint8Array {
    const key = this.#keys.get(version);
    if (key !== undefined) return key;
    throw new SystemError("data_key_missing", `Cannot use ${what}: data key ${version} is not there`, {
      hint: `Put the objects under tenants/${this.tenant}/keys/ back from the bucket's versions or a copy of it.`,
    });
  }

  unknownFormat(what: string): SystemError {
    return new SystemError("object_version", `Cannot decrypt ${what}: its format is not known`, {
      hint: "A later version of Manybase wrote it: run that version.",
    });
  }

  /** Nothing can be opened with it any more. */
  forget(): void {
    for (const key of this.#keys.values()) key.fill(0);
    this.#keys.clear();
  }
}

/** A data key as a key-encryption key has wrapped it. */
export interface WrappedKey {
  /** Names the key-encryption key: `local:<id>` or `kms:<arn>`. */
  kek: string;
  wrapped: Uint8Array;
}

const objectSchema = z.object({
  format: z.literal(1),
  kek: z.string().min(1).max(2_100),
  wrapped: z.string().min(1).max(limits.keyObjectBytesMax),
});

/** What stands at `tenants/<t>/keys/<version>`. */
export function encodeKeyObject({ kek, wrapped }: WrappedKey): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify({ format: 1, kek, wrapped: base64Url(wrapped) })}\n`);
}

/** @throws SystemError `object_corrupt` */
export function decodeKeyObject(key: string, bytes: Uint8Array): WrappedKey {
  try {
    const { kek, wrapped } = objectSchema.parse(
      JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)),
    );
    const decoded = fromBase64Url(wrapped);
    if (decoded !== undefined) return { kek, wrapped: decoded };
  } catch (cause) {
    throw tampered(key, "it is no wrapped key", cause);
  }
  throw tampered(key, "it is no wrapped key");
}

const VERSION_NAME = /^[0-9a-f]{8}$/;

/** The version in a key object's name; undefined for none of ours. */
export function keyVersion(name: string): number | undefined {
  const version = VERSION_NAME.test(name) ? Number.parseInt(name, 16) : 0;
  return version >= 1 ? version : undefined;
}
