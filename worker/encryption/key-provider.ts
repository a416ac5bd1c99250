import { UserError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";
import { dataKeyKey } from "../../shared/objects/layout.ts";
import type { WrappedKey } from "./data-key.ts";
import { keyRefused } from "./errors.ts";
import { kmsProvider } from "./kms.ts";
import { localKeyring } from "./local-keyring.ts";

/** What a wrapped key is bound to: unwrapped for another tenant or version it is refused. */
export interface KeyContext {
  tenant: TenantId;
  version: number;
}

/** Wraps data keys. It never sees anything else of a tenant. */
export interface KeyProvider {
  /** Of the key-encryption key that wraps now. @throws SystemError, UserError when there is none to be had */
  current(): Promise<string>;
  /** @throws SystemError `key_refused`, `key_service_unavailable` */
  wrap(dataKey: Uint8Array, context: KeyContext, signal?: AbortSignal): Promise<WrappedKey>;
  /** @returns undefined when another's key has wrapped it @throws SystemError `key_refused`, `key_service_unavailable` */
  unwrap(key: WrappedKey, context: KeyContext, signal?: AbortSignal): Promise<Uint8Array | undefined>;
  close(): void;
}

/**
 * `local:<file>` or `kms:<key arn or id>[?endpoint=…&region=…]`, several separated by commas: the first wraps, all unwrap.
 * @throws UserError `invalid_option` for what is not like that, and for a keyring that cannot be read or that others may read
 */
export function openKeyProvider(spec: string): KeyProvider {
  const providers = spec
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map((part) => {
      if (part.startsWith("local:") && part.length > 6) return localKeyring(part.slice(6));
      if (part.startsWith("kms:") && part.length > 4) return kmsProvider(part.slice(4));
      throw new UserError("invalid_option", `Cannot use keys ${part}: neither local: nor kms:`, {
        hint: "Write local:<file> or kms:<key arn>?region=<region>.",
      });
    });
  const [first] = providers;
  if (first === undefined) {
    throw new UserError("invalid_option", "Cannot use keys: none are named", {
      hint: "Write local:<file> or kms:<key arn>?region=<region>.",
    });
  }
  return {
    current: () => first.current(),
    wrap: (dataKey, context, signal) => first.wrap(dataKey, context, signal),
    async unwrap(key, context, signal) {
      for (const provider of providers) {
        const dataKey = await provider.unwrap(key, context, signal);
        if (dataKey !== undefined) return dataKey;
      }
      return undefined;
    },
    close: () => {
      for (const provider of providers) provider.close();
    },
  };
}

/** @throws SystemError `key_refused` when no key at hand has wrapped it; `key_service_unavailable` */
export async function unwrapOrRefuse(
  provider: KeyProvider,
  key: WrappedKey,
  context: KeyContext,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const dataKey = await provider.unwrap(key, context, signal);
  const what = dataKeyKey(context.tenant, context.version);
  if (dataKey === undefined)
    throw keyRefused(what, `${key.kek} wrapped it, which is not among the keys at hand`);
  return dataKey;
}
