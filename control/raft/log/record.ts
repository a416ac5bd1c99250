/**
 * Frame of one record, little endian: magic u32, kind u8, zero u8, header check u16, length u32, previous crc u32, crc u32, payload.
 * The crc (CRC-32 as in zlib) covers kind, length, previous crc and the payload, so each record proves itself and its place in the
 * chain. The header check (low half of the CRC-32 of kind and of length to crc) proves the length when the payload is not all there:
 * without it a flipped bit in the last record's length would look like a torn write.
 */
import { crc32 } from "node:zlib";
import { limits } from "../../../shared/limits.ts";

export const RECORD_HEADER_BYTES = 20;
export const SECTOR_BYTES = 512;
const MAGIC = 0x314c524d;

export const KIND_SEGMENT = 1;
export const KIND_BATCH = 2;

export interface Record {
  kind: number;
  previousCrc: number;
  crc: number;
  payload: Uint8Array;
  /** Offset of the byte after the record. */
  end: number;
}

export function encodeRecord(
  kind: number,
  previousCrc: number,
  payload: Uint8Array,
): { bytes: Uint8Array; crc: number } {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, kind);
  view.setUint32(8, payload.length, true);
  view.setUint32(12, previousCrc, true);
  bytes.set(payload, RECORD_HEADER_BYTES);
  const crc = crcOf(bytes, 0, bytes.length);
  view.setUint32(16, crc, true);
  view.setUint16(6, headerCheck(bytes, 0), true);
  return { bytes, crc };
}

/** The record at `offset` when it is whole and proves itself. */
export function readRecord(file: Uint8Array, offset: number): Record | undefined {
  if (offset + RECORD_HEADER_BYTES > file.length) return undefined;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (!headerProvesItself(view, file, offset)) return undefined;
  const length = view.getUint32(offset + 8, true);
  const end = offset + RECORD_HEADER_BYTES + length;
  if (length > limits.raftRecordBytesMax || end > file.length) return undefined;
  const crc = view.getUint32(offset + 16, true);
  if (crcOf(file, offset, end) !== crc) return undefined;
  return {
    kind: view.getUint8(offset + 4),
    previousCrc: view.getUint32(offset + 12, true),
    crc,
    payload: file.subarray(offset + RECORD_HEADER_BYTES, end),
    end,
  };
}

/**
 * Whether the bytes from `offset` to the end of the file can be what a crash leaves of one unsynced write: the file ends inside
 * the record, or a whole sector never arrived. A record that is all there and does not prove itself was changed later.
 */
export function isTorn(file: Uint8Array, offset: number): boolean {
  const left = file.length - offset;
  if (left < RECORD_HEADER_BYTES) return true;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const end = offset + RECORD_HEADER_BYTES + view.getUint32(offset + 8, true);
  const endsInside = headerProvesItself(view, file, offset) && end > file.length;
  return (endsInside || hasEmptySector(file, offset)) && !laterRecord(file, offset + 1);
}

/** Whether a record that proves itself starts at or after `offset`. */
function laterRecord(file: Uint8Array, offset: number): boolean {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = offset; at + RECORD_HEADER_BYTES <= file.length; at++) {
    if (view.getUint32(at, true) === MAGIC && readRecord(file, at) !== undefined) return true;
  }
  return false;
}

function hasEmptySector(file: Uint8Array, offset: number): boolean {
  for (let start = offset; start < file.length;) {
    const end = Math.min(start - (start % SECTOR_BYTES) + SECTOR_BYTES, file.length);
    if (file.subarray(start, end).every((byte) => byte === 0)) return true;
    start = end;
  }
  return false;
}

function headerProvesItself(view: DataView, file: Uint8Array, offset: number): boolean {
  return (
    view.getUint32(offset, true) === MAGIC && view.getUint16(offset + 6, true) === headerCheck(file, offset)
  );
}

function headerCheck(file: Uint8Array, offset: number): number {
  const kind = crc32(file.subarray(offset + 4, offset + 6));
  return crc32(file.subarray(offset + 8, offset + RECORD_HEADER_BYTES), kind) & 0xffff;
}

function crcOf(file: Uint8Array, offset: number, end: number): number {
  const kind = crc32(file.subarray(offset + 4, offset + 6));
  const head = crc32(file.subarray(offset + 8, offset + 16), kind);
  return crc32(file.subarray(offset + RECORD_HEADER_BYTES, end), head);
}
