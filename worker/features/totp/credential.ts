/** A record's authenticator (RFC 6238) and its backup codes. */
import { createHash } from "node:crypto";
import { Secret, TOTP } from "otpauth";
import { randomText } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { RecordData } from "../../model/contract.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { createTables, hasTables } from "./tables.ts";

export interface TotpCredential {
  /** Base32. */
  secret: string;
  /** Asked for at sign-in only after a first code has shown that the app has the secret. */
  isConfirmed: boolean;
  /** The newest time step whose code was taken: no code is good twice. */
  lastStep: number;
}

const SECRET_BYTES = 20;
const STEP_MS = 30_000;
/** Without characters that are read as others. */
const BACKUP_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789";
const BACKUP_CHARACTERS = 10;

export function findTotp(db: SqlReader, record: RecordData): TotpCredential | undefined {
  if (!hasTables(db)) return undefined;
  const row = db.get<{ secret: string; confirmed: number; lastStep: number }>(
    "SELECT secret, confirmed, lastStep FROM `_mb_totps` WHERE collectionRef = ? AND recordRef = ?",
    [record.collection.id, record.id],
  );
  if (row === undefined) return undefined;
  return { secret: row.secret, isConfirmed: row.confirmed === 1, lastStep: row.lastStep };
}

/** A new secret that is not confirmed; one that is confirmed must have been removed before. */
export function startTotp(tx: WriteTransaction, record: RecordData): string {
  createTables(tx);
  const secret = new Secret({ size: SECRET_BYTES }).base32;
  tx.run(
    "INSERT OR REPLACE INTO `_mb_totps` (collectionRef, recordRef, secret, confirmed, lastStep) VALUES (?, ?, ?, 0, 0)",
    [record.collection.id, record.id, secret],
  );
  return secret;
}

/** What authenticator apps read, as text and from a QR code. */
export function totpUri(secret: string, issuer: string, label: string): string {
  return new TOTP({ secret: Secret.fromBase32(secret), issuer, label }).toString();
}

/** Takes a code of the app: true once per code. */
export function takeTotp(
  tx: WriteTransaction,
  record: RecordData,
  credential: TotpCredential,
  code: string,
  nowMs: number,
): boolean {
  const token = code.replace(/\s/g, "");
  if (!/^\d{6}$/.test(token)) return false;
  const totp = new TOTP({ secret: Secret.fromBase32(credential.secret) });
  const delta = totp.validate({ token, timestamp: nowMs, window: limits.totpWindowSteps });
  if (delta === null) return false;
  const step = Math.floor(nowMs / STEP_MS) + delta;
  if (step <= credential.lastStep) return false;
  tx.run("UPDATE `_mb_totps` SET confirmed = 1, lastStep = ? WHERE collectionRef = ? AND recordRef = ?", [
    step,
    record.collection.id,
    record.id,
  ]);
  return true;
}

/** New codes; the old ones are no longer good. Shown once, kept as hashes. */
export function renewBackupCodes(tx: WriteTransaction, record: RecordData): string[] {
  tx.run("DELETE FROM `_mb_backupCodes` WHERE collectionRef = ? AND recordRef = ?", [
    record.collection.id,
    record.id,
  ]);
  return Array.from({ length: limits.backupCodes }, () => {
    const code = randomText(BACKUP_CHARACTERS, BACKUP_ALPHABET);
    tx.run("INSERT INTO `_mb_backupCodes` (collectionRef, recordRef, hash) VALUES (?, ?, ?)", [
      record.collection.id,
      record.id,
      hashOf(record, code),
    ]);
    return `${code.slice(0, BACKUP_CHARACTERS / 2)}-${code.slice(BACKUP_CHARACTERS / 2)}`;
  });
}

/** Takes a backup code: true once. */
export function takeBackupCode(tx: WriteTransaction, record: RecordData, code: string): boolean {
  const plain = code.toLowerCase().replace(/[\s-]/g, "");
  const args = [record.collection.id, record.id, hashOf(record, plain)];
  const where = "WHERE collectionRef = ? AND recordRef = ? AND hash = ?";
  if (tx.get(`SELECT 1 FROM \`_mb_backupCodes\` ${where}`, args) === undefined) return false;
  tx.run(`DELETE FROM \`_mb_backupCodes\` ${where}`, args);
  return true;
}

export function backupCodesLeft(db: SqlReader, record: RecordData): number {
  if (!hasTables(db)) return 0;
  const rows = db.values("SELECT count(*) FROM `_mb_backupCodes` WHERE collectionRef = ? AND recordRef = ?", [
    record.collection.id,
    record.id,
  ]);
  return Number(rows[0]?.[0] ?? 0);
}

/** The codes are random enough (49 bits) that a plain hash, bound to its record, is as good as a slow one. */
function hashOf({ collection, id }: RecordData, code: string): string {
  return createHash("sha256").update(`${collection.id}/${id}/${code}`).digest("base64url");
}
