import { readDirectory, readFooters, readPositions, readRef } from "./body.ts";
import { ByteReader, logCorrupt } from "./bytes.ts";
import { decodeMeta, readFooter, readHeaderFacts, readKind } from "./footer.ts";
import {
  LOG_FOOTER_LENGTH_BYTES,
  LOG_HEADER_BYTES,
  type LogEntry,
  type LogFooter,
  type LogHeader,
  type LogIndexItem,
} from "./log.ts";

/**
 * The facts in the first 64 bytes, with a checksum of their own: one small ranged GET answers whose object this is.
 *
 * @throws SystemError `object_corrupt`, or `object_version` when a later version wrote it
 */
export function decodeLogHeader(bytes: Uint8Array): LogHeader {
  const reader = new ByteReader(bytes, 0, Math.min(bytes.length, LOG_HEADER_BYTES));
  const header = readHeaderFacts(reader);
  if (reader.u64() !== 0) throw logCorrupt("a reserved field is not zero");
  reader.crc(0, "header");
  return header;
}

/**
 * The footer from the object's last bytes.
 *
 * @param tail - too short is `object_corrupt`; `logFooterBytes` of its last 4 bytes says how many are needed
 * @throws SystemError `object_corrupt` or `object_version`
 */
export function decodeLogFooter(tail: Uint8Array, objectSize: number): LogFooter {
  const needed = logFooterBytes(tail);
  if (needed > tail.length || tail.length > objectSize) {
    throw logCorrupt(`a footer of ${needed} bytes in a tail of ${tail.length}`);
  }
  const start = tail.length - needed;
  const footer = readFooter(new ByteReader(tail, start, tail.length - LOG_FOOTER_LENGTH_BYTES));
  const last = footer.index.at(-1);
  const entriesEnd = last === undefined ? LOG_HEADER_BYTES : last.offset + last.length;
  if (entriesEnd !== objectSize - needed) throw logCorrupt("its footer does not cover its entries");
  return footer;
}

/** How many bytes of the object's end hold the footer, its length included. @throws SystemError `object_corrupt` */
export function logFooterBytes(tail: Uint8Array): number {
  if (tail.length < LOG_FOOTER_LENGTH_BYTES) throw logCorrupt("it is cut off");
  return new ByteReader(tail, tail.length - LOG_FOOTER_LENGTH_BYTES).u32() + LOG_FOOTER_LENGTH_BYTES;
}

/**
 * The whole object, every checksum proven. Entries of unknown kind that say they may be skipped are left out. Bodies are views
 * into `bytes`.
 *
 * @throws SystemError `object_corrupt` or `object_version`
 */
export function decodeLogObject(bytes: Uint8Array): { header: LogHeader; entries: LogEntry[] } {
  const header = decodeLogHeader(bytes);
  const footer = decodeLogFooter(bytes, bytes.length);
  if (!sameHeader(header, footer.header)) throw logCorrupt("header and footer differ");
  const entries: LogEntry[] = [];
  for (const item of footer.index) {
    const { entry, facts } = readEntry(bytes.subarray(item.offset, item.offset + item.length));
    if (!sameFacts(item, facts)) throw logCorrupt("an entry differs from its footer");
    if (entry !== undefined) entries.push(entry);
  }
  return { header, entries };
}

/**
 * One entry from the bytes that its footer spans; undefined when it may be skipped.
 *
 * @throws SystemError `object_corrupt` or `object_version`
 */
export function decodeLogEntry(bytes: Uint8Array): LogEntry | undefined {
  return readEntry(bytes).entry;
}

type Facts = Omit<LogIndexItem, "offset" | "length">;

function readEntry(bytes: Uint8Array): { entry: LogEntry | undefined; facts: Facts } {
  const reader = new ByteReader(bytes);
  const kind = readKind(reader.u8(), reader.u8());
  const metaLength = reader.u16();
  const bodyLength = reader.u32();
  const meta = reader.raw(metaLength);
  const body = reader.raw(bodyLength);
  reader.crc(0, "entry");
  reader.finish("entry");
  const facts: Facts = { ...kind, ...decodeMeta(kind.kind, meta) };
  return { entry: readBody(facts, body), facts };
}

function readBody(facts: Facts, body: Uint8Array): LogEntry | undefined {
  const { kind, tenant, epoch, database, txid, entryHash } = facts;
  if (kind === "unknown") return undefined;
  if (kind === "footers") {
    const footers = readFooters(body);
    return footers === undefined ? undefined : { kind, footers };
  }
  if (kind === "directory") {
    const databases = readDirectory(body);
    return databases === undefined ? undefined : { kind, databases };
  }
  if (tenant === undefined || epoch === undefined) throw logCorrupt("an entry of no tenant");
  if (kind === "release") return { kind, tenant, epoch, positions: readPositions(body) };
  const encrypted = facts.encrypted === true ? ({ encrypted: true } as const) : {};
  if (kind === "state") return { kind, tenant, epoch, body, ...encrypted };
  if (kind === "drop") {
    new ByteReader(body).finish("DROP");
    return { kind, tenant, epoch };
  }
  if (database === undefined || txid === undefined || entryHash === undefined) {
    throw logCorrupt("an entry without its position");
  }
  const position = { tenant, database, epoch, txid, entryHash };
  return kind === "data"
    ? { kind, ...position, ltx: body, ...encrypted }
    : { kind, ...position, ...readRef(body), ...encrypted };
}

function sameHeader(a: LogHeader, b: LogHeader): boolean {
  return (
    a.incarnation === b.incarnation &&
    a.seq === b.seq &&
    a.nonce === b.nonce &&
    a.kind === b.kind &&
    a.lowWatermark === b.lowWatermark
  );
}

function sameFacts(a: Facts, b: Facts): boolean {
  return (
    a.kind === b.kind &&
    a.tenant === b.tenant &&
    a.database === b.database &&
    a.epoch === b.epoch &&
    a.txid === b.txid &&
    a.entryHash === b.entryHash &&
    a.encrypted === b.encrypted
  );
}
