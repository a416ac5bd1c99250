import { SystemError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";
import type { ObjectStore, RequestOptions } from "../../shared/objects/contract.ts";
import { pinKey } from "../../shared/objects/layout.ts";
import { getBytes } from "../../shared/objects/read.ts";
import { type Pin, pinSchema } from "../../shared/protocol/points.ts";

/**
 * What a branch reads of its parent; undefined when there is no such pin.
 * @throws SystemError `object_foreign`: nothing of the tenant may go while that is unclear
 */
export async function readPin(
  store: ObjectStore,
  key: string,
  options: RequestOptions,
): Promise<Pin | undefined> {
  const bytes = await getBytes(store, key, options);
  if (bytes === undefined) return undefined;
  const pin = pinSchema.safeParse(parseJson(bytes));
  if (pin.success) return pin.data;
  throw new SystemError("object_foreign", `Cannot read ${key}: it is no pin of a branch`, {
    hint: "Nothing of this tenant is deleted until it is put right. Restore the object from the bucket's versions.",
  });
}

/** As `readPin`, of one branch. */
export function readBranchPin(
  store: ObjectStore,
  parent: TenantId,
  branch: TenantId,
  options: RequestOptions,
): Promise<Pin | undefined> {
  return readPin(store, pinKey(parent, branch), options);
}

export function encodePin(pin: Pin): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(pin));
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
