import { z } from "zod";
import { SystemError } from "../../shared/errors.ts";
import { type TenantId, randomText } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore, RequestOptions } from "../../shared/objects/contract.ts";
import { droppedKey, storagePrefix } from "../../shared/objects/layout.ts";
import { getBytes } from "../../shared/objects/read.ts";

const droppedSchema = z.object({ keys: z.array(z.string()).max(limits.droppedKeysMax) });

/**
 * Notes durably that no record names these uploads any more. They stay for as long as a restorable point or a branch may name
 * them; maintenance removes them then (upload-keeper.ts).
 */
export async function noteDropped(
  store: ObjectStore,
  tenant: TenantId,
  keys: readonly string[],
  options: RequestOptions & { newNonce?: () => string },
): Promise<void> {
  const { newNonce = () => randomText(32, "0123456789abcdef"), ...request } = options;
  for (let at = 0; at < keys.length; at += limits.droppedKeysMax) {
    const part = keys.slice(at, at + limits.droppedKeysMax);
    const body = new TextEncoder().encode(JSON.stringify({ keys: part }));
    await store.put(droppedKey(tenant, newNonce()), body, request);
  }
}

/** @throws SystemError `object_foreign` when the record names what is no upload of the tenant */
export async function readDropped(
  store: ObjectStore,
  tenant: TenantId,
  record: string,
  options: RequestOptions,
): Promise<readonly string[]> {
  const bytes = await getBytes(store, record, options);
  if (bytes === undefined) return [];
  const parsed = droppedSchema.safeParse(parseJson(bytes));
  const prefix = storagePrefix(tenant);
  if (parsed.success && parsed.data.keys.every((key) => key.startsWith(prefix))) return parsed.data.keys;
  throw new SystemError("object_foreign", `Cannot read ${record}: it is no list of this tenant's uploads`, {
    hint: "Nothing was deleted. Remove the object when you know where it came from.",
  });
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
