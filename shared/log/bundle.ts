import type { Txid } from "../ids.ts";
import { ByteReader, ByteWriter, logCorrupt } from "./bytes.ts";
import { decodeLogEntry } from "./decode.ts";
import { writeLogEntry } from "./encode.ts";
import { hashedBody } from "./entry-hash.ts";
import { logMisuse, tooNew } from "./footer.ts";
import { LOG_CRC_BYTES, LOG_FOOTER_LENGTH_BYTES, type DataEntry } from "./log.ts";

/** One flush in a bundle. */
export interface BundleItem {
  txid: Txid;
  /** Of its LTX file. */
  timestampMs: number;
  /** Of the entry in the bundle, for `decodeLogEntry`. */
  offset: number;
  length: number;
}

/** A flush on its way into a bundle. */
export interface BundledFlush {
  entry: DataEntry;
  /** Of its LTX file. */
  timestampMs: number;
  /** The last `LOG_CRC_BYTES` of the entry as it stood in the log, when they are at hand: they are not computed again. */
  crc?: Uint8Array | undefined;
}

export const BUNDLE_HEADER_BYTES = 64;
const MAGIC = 0x4d42_4642; // MBFB
const INDEX_MAGIC = 0x4d42_4649; // MBFI
const VERSION = 1;

/**
 * The flushes of one database one by one, as they stood in the log (FORMATS.md, section 3).
 *
 * @param flushes - TXIDs consecutive, one database, at least one
 * @throws SystemError `internal`
 */
export function encodeBundle(flushes: readonly BundledFlush[]): Uint8Array {
  const [first] = flushes;
  const last = flushes.at(-1);
  if (first === undefined || last === undefined) throw logMisuse("a bundle of nothing");
  const out = new ByteWriter(flushes.reduce((sum, { entry }) => sum + hashedBody(entry).length + 256, 256));
  out.u32(MAGIC).u16(VERSION).u16(0).u64(first.entry.txid).u64(last.entry.txid);
  for (let i = 0; i < 4; i++) out.u64(0);
  out.crc(0);
  const index: { length: number; timestampMs: number }[] = [];
  for (const [i, { entry, timestampMs, crc }] of flushes.entries()) {
    if (entry.txid !== first.entry.txid + i) throw logMisuse(`a bundle with TXID ${entry.txid} out of order`);
    index.push({ length: writeLogEntry(out, entry, undefined, crc).length, timestampMs });
  }
  const start = out.length;
  out.u32(INDEX_MAGIC).uvarint(index.length);
  for (const { length, timestampMs } of index) out.uvarint(length).uvarint(timestampMs);
  out.crc(start);
  // The buffer was made for it, so a copy would save nothing.
  return out.u32(out.length - start).view();
}

/** TXIDs of the first 64 bytes. @throws SystemError `object_corrupt`, `object_version` */
export function decodeBundleHeader(bytes: Uint8Array): { minTxid: Txid; maxTxid: Txid } {
  const reader = new ByteReader(bytes, 0, Math.min(bytes.length, BUNDLE_HEADER_BYTES));
  if (reader.u32() !== MAGIC) throw logCorrupt("it is no bundle");
  const version = reader.u16();
  const flags = reader.u16();
  if (version !== VERSION || flags !== 0) throw tooNew(`its version is ${version} with flags ${flags}`);
  const minTxid = reader.u64() as Txid;
  const maxTxid = reader.u64() as Txid;
  for (let i = 0; i < 4; i++) {
    if (reader.u64() !== 0) throw logCorrupt("a reserved field is not zero");
  }
  reader.crc(0, "header");
  if (minTxid < 1 || maxTxid < minTxid) throw logCorrupt(`a bundle of TXIDs ${minTxid} to ${maxTxid}`);
  return { minTxid, maxTxid };
}

/** How many bytes of the bundle's end hold its index. @param tail - its last bytes, at least 4 */
export const bundleIndexBytes = (tail: Uint8Array): number => {
  if (tail.length < LOG_FOOTER_LENGTH_BYTES) throw logCorrupt("it is cut off");
  return new ByteReader(tail, tail.length - LOG_FOOTER_LENGTH_BYTES).u32() + LOG_FOOTER_LENGTH_BYTES;
};

/**
 * Where each flush stands.
 * @param tail - the bundle's last bytes, at least `bundleIndexBytes` @throws SystemError `object_corrupt`
 */
export function decodeBundleIndex(
  tail: Uint8Array,
  range: { minTxid: Txid; maxTxid: Txid },
  bundleSize: number,
): BundleItem[] {
  const needed = bundleIndexBytes(tail);
  if (needed > tail.length || tail.length > bundleSize) throw logCorrupt("the index of a bundle is cut off");
  const start = tail.length - needed;
  const reader = new ByteReader(tail, start, tail.length - LOG_FOOTER_LENGTH_BYTES);
  if (reader.u32() !== INDEX_MAGIC) throw logCorrupt("the index of a bundle is not there");
  const count = reader.count(2);
  if (count !== range.maxTxid - range.minTxid + 1) throw logCorrupt(`a bundle with ${count} flushes`);
  const items: BundleItem[] = [];
  let offset = BUNDLE_HEADER_BYTES;
  for (let i = 0; i < count; i++) {
    const length = reader.uvarint();
    items.push({ txid: (range.minTxid + i) as Txid, timestampMs: reader.uvarint(), offset, length });
    offset += length;
  }
  if (reader.remaining !== LOG_CRC_BYTES) throw logCorrupt("the index of a bundle has bytes too many");
  reader.crc(start, "index");
  if (offset !== bundleSize - needed) throw logCorrupt("the index of a bundle does not cover its entries");
  return items;
}

/** The whole bundle, everything proven. @throws SystemError `object_corrupt`, `object_version` */
export function decodeBundle(bytes: Uint8Array): DataEntry[] {
  const range = decodeBundleHeader(bytes);
  return decodeBundleIndex(bytes, range, bytes.length).map(({ txid, offset, length }) => {
    const entry = decodeLogEntry(bytes.subarray(offset, offset + length));
    if (entry?.kind !== "data" || entry.txid !== txid) throw logCorrupt(`TXID ${txid} is not in its place`);
    return entry;
  });
}
