import { SystemError } from "../errors.ts";
import type { LtxHeader } from "./ltx.ts";

/** Flags of every file that we write: no checksums of the database before and after, only one of the file. */
const NO_CHECKSUM = 2;
/** Flags of every page. */
export const SIZE_FOLLOWS = 1;
export const UVARINT_BYTES_MAX = 8;

/** Into 100 zero bytes. */
export function writeHeader(target: Uint8Array, header: LtxHeader): void {
  target.set([0x4c, 0x54, 0x58, 0x31]); // LTX1
  writeU32(target, 4, NO_CHECKSUM);
  writeU32(target, 8, header.pageSize);
  writeU32(target, 12, header.commit);
  writeU64(target, 16, header.minTxid);
  writeU64(target, 24, header.maxTxid);
  writeU64(target, 32, header.timestampMs);
  writeU64(target, 48, header.walOffset);
  writeU64(target, 56, header.walSize);
  writeU32(target, 64, header.salt1);
  writeU32(target, 68, header.salt2);
  writeU64(target, 72, header.epoch);
}

/** The page after `pgno` in a file that has all. */
export const following = (pgno: number, lock: number): number => (pgno + 1 === lock ? pgno + 2 : pgno + 1);

export function writeU32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}

export function writeU64(target: Uint8Array, at: number, value: number): void {
  writeU32(target, at, Math.floor(value / 0x1_0000_0000));
  writeU32(target, at + 4, value >>> 0);
}

export function writeUvarint(target: Uint8Array, at: number, value: number): number {
  let out = at;
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) target[out++] = (rest % 128) | 128;
  target[out++] = rest;
  return out;
}

export const misuse = (state: string): SystemError =>
  new SystemError("internal", `Cannot write LTX file: ${state}`);
