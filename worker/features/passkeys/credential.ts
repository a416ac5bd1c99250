/** A record's passkeys: public keys of credentials that its devices hold (WebAuthn). */
import { createHash } from "node:crypto";
import { randomText } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import type { RecordData } from "../../model/contract.ts";
import { badRequest } from "../../pb/api-error.ts";
import type { SqlReader, SqlRow } from "../../sqlite/contract.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { createTables, hasTables } from "./tables.ts";

export interface Passkey {
  id: string;
  recordRef: string;
  /** Base64url. */
  credentialId: string;
  publicKey: Uint8Array<ArrayBuffer>;
  /** The newest signature counter; 0 for ever with authenticators that count nothing. */
  counter: number;
  rpId: string;
  transports: string[];
  deviceType: string;
  backedUp: boolean;
  /** Its counter went back once: there are two of it, and nobody knows which is the owner's. */
  cloned: boolean;
  name: string;
  created: string;
  /** Empty before the first use. */
  used: string;
}

const ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";
const ID_CHARACTERS = 15;

export function passkeysOf(db: SqlReader, record: RecordData): Passkey[] {
  if (!hasTables(db)) return [];
  const sql = "SELECT * FROM `_mb_passkeys` WHERE collectionRef = ? AND recordRef = ? ORDER BY created, id";
  return db.all(sql, [record.collection.id, record.id]).map(toPasskey);
}

export function findPasskey(
  db: SqlReader,
  collection: Collection,
  by: { id: string } | { credentialId: string },
): Passkey | undefined {
  if (!hasTables(db)) return undefined;
  const [column, value] = "id" in by ? ["id", by.id] : ["credentialId", by.credentialId];
  const row = db.get(`SELECT * FROM \`_mb_passkeys\` WHERE collectionRef = ? AND ${column} = ?`, [
    collection.id,
    value,
  ]);
  return row === undefined ? undefined : toPasskey(row);
}

/** @throws ApiError 400 for a credential that is there already, or one too many */
export function addPasskey(
  tx: WriteTransaction,
  record: RecordData,
  given: Omit<Passkey, "id" | "recordRef" | "created" | "used" | "cloned">,
): Passkey {
  createTables(tx);
  const { collection, id: recordRef } = record;
  if (findPasskey(tx, collection, given) !== undefined)
    throw badRequest("The passkey is registered already.");
  if (passkeysOf(tx, record).length >= limits.passkeysPerRecordMax) {
    throw badRequest("There are too many passkeys. Delete one first.");
  }
  const id = randomText(ID_CHARACTERS, ID_ALPHABET);
  const passkey: Passkey = { ...given, id, recordRef, created: nowText(), used: "", cloned: false };
  tx.run(
    "INSERT INTO `_mb_passkeys` (id, collectionRef, recordRef, credentialId, publicKey, counter, rpId, transports, deviceType, backedUp, cloned, name, created, used) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, '')",
    [
      id,
      collection.id,
      recordRef,
      given.credentialId,
      given.publicKey,
      given.counter,
      given.rpId,
      JSON.stringify(given.transports),
      given.deviceType,
      given.backedUp ? 1 : 0,
      given.name,
      passkey.created,
    ],
  );
  return passkey;
}

/**
 * Notes a use whose signature was verified. False when the counter went back, which a counter never does by itself: the passkey is
 * good for nothing from then on.
 */
export function noteUse(
  tx: WriteTransaction,
  passkey: Passkey,
  use: { counter: number; backedUp: boolean },
): boolean {
  const isCloned =
    passkey.cloned || ((use.counter > 0 || passkey.counter > 0) && use.counter <= passkey.counter);
  if (isCloned) {
    tx.run("UPDATE `_mb_passkeys` SET cloned = 1 WHERE id = ?", [passkey.id]);
    return false;
  }
  tx.run("UPDATE `_mb_passkeys` SET counter = ?, backedUp = ?, used = ? WHERE id = ?", [
    use.counter,
    use.backedUp ? 1 : 0,
    nowText(),
    passkey.id,
  ]);
  return true;
}

/** What authenticators keep for the account: always the same for a record, and it tells nothing about it. */
export function userHandle({ collection, id }: RecordData): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash("sha256").update(`${collection.id}/${id}`).digest());
}

/** As the API shows it. */
export function publicPasskey(passkey: Passkey): Record<string, unknown> {
  const { id, name, created, used, rpId, transports, deviceType, backedUp, cloned } = passkey;
  return { id, name, created, used, rpId, transports, deviceType, backedUp, cloned };
}

function toPasskey(row: SqlRow): Passkey {
  return {
    id: String(row["id"]),
    recordRef: String(row["recordRef"]),
    credentialId: String(row["credentialId"]),
    publicKey: new Uint8Array(row["publicKey"] as Uint8Array),
    counter: Number(row["counter"]),
    rpId: String(row["rpId"]),
    transports: JSON.parse(String(row["transports"])) as string[],
    deviceType: String(row["deviceType"]),
    backedUp: row["backedUp"] === 1,
    cloned: row["cloned"] === 1,
    name: String(row["name"]),
    created: String(row["created"]),
    used: String(row["used"]),
  };
}

function nowText(): string {
  return new Date().toISOString().replace("T", " ");
}
