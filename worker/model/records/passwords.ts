/** bcrypt as PocketBase stores it (`$2a$`); hashing and verifying run off the main thread. */
import { availableParallelism } from "node:os";
import { randomText } from "../../../shared/ids.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import { ValidationFailure, type ErrorData, type PendingRecord } from "../contract.ts";
import { int } from "../fields/field-type.ts";
import { PASSWORD_BYTES_MAX } from "../fields/password.ts";
import { Lanes } from "../../tenant/lanes.ts";
import { planOf } from "./plan.ts";

const COST_DEFAULT = 10;
/**
 * Bun hashes on the threads that also read and write files: a storm of sign-ins leaves half of the processors to everybody else, and
 * every other turn to who signs in to another tenant's collection.
 */
const lanes = new Lanes(Math.max(1, Math.floor(availableParallelism() / 2)));
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

const hashed = new WeakSet<PendingRecord>();

/** Whether the plain passwords of this record are in its values as hashes by now. */
export function isHashed(pending: PendingRecord): boolean {
  return pending.passwords.size === 0 || hashed.has(pending);
}

/** @throws ValidationFailure for rule breaks */
export async function hashRecordPasswords(pending: PendingRecord): Promise<void> {
  if (isHashed(pending)) return;
  const { byName } = planOf(pending.collection);
  const errors: ErrorData = {};
  const costs = new Map<string, number>();
  for (const [name, password] of pending.passwords) {
    const planned = byName.get(name);
    if (planned === undefined) continue;
    const error = planned.type.validate(planned.field, pending.values[name], {
      collection: pending.collection,
      schema: { collections: [], find: () => undefined },
      isNew: pending.before === undefined,
      id: pending.id,
      before: undefined,
      uploads: pending.uploads,
      password,
      db: undefined,
    });
    if (error !== undefined) errors[name] = error;
    costs.set(name, int(planned.field, "cost") || COST_DEFAULT);
  }
  if (Object.keys(errors).length > 0) throw new ValidationFailure(errors);
  for (const [name, password] of pending.passwords) {
    pending.values[name] = await hashPassword(password, costs.get(name) ?? COST_DEFAULT, pending.collection);
  }
  hashed.add(pending);
}

/** At most 72 bytes: bcrypt reads no more, and Bun would hash a longer text first, which PocketBase could not verify. */
async function hashPassword(password: string, cost: number, collection: Collection): Promise<string> {
  if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX) {
    throw new RangeError(`Cannot hash password: longer than ${PASSWORD_BYTES_MAX} bytes`);
  }
  const hash = await lanes.run(() => Bun.password.hash(password, { algorithm: "bcrypt", cost }), collection);
  return hash.replace(/^\$2[by]\$/, "$2a$");
}

/** The hash of a password that nobody knows, whatever rules plain passwords of the collection must keep. */
export function unknownPassword(collection: Collection): Promise<string> {
  return hashPassword(randomText(40, ALPHABET), COST_DEFAULT, collection);
}

/** False for a wrong password, and for what is no bcrypt hash at all. */
export async function verifyPassword(
  password: string,
  hash: string,
  collection: Collection,
): Promise<boolean> {
  if (!hash.startsWith("$2") || password === "") return false;
  const bytes = Buffer.from(password).subarray(0, PASSWORD_BYTES_MAX);
  try {
    return await lanes.run(() => Bun.password.verify(bytes, hash, "bcrypt"), collection);
  } catch {
    return false;
  }
}
