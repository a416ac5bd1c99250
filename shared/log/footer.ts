import { SystemError } from "../errors.ts";
import {
  type Incarnation,
  type LogSeq,
  parseDatabaseName,
  parseEpoch,
  parseTenantId,
  parseTxid,
} from "../ids.ts";
import { base64Url } from "../protocol/mac.ts";
import { ByteReader, ByteWriter, logCorrupt } from "./bytes.ts";
import { decodeHash } from "./entry-hash.ts";
import {
  ENCRYPTABLE_KINDS,
  ENTRY_ENCRYPTED,
  ENTRY_KINDS,
  ENTRY_SKIPPABLE,
  FOOTER_MAGIC,
  LOG_CRC_BYTES,
  LOG_ENTRY_HEADER_BYTES,
  LOG_HEADER_BYTES,
  LOG_MAGIC,
  LOG_VERSION,
  type LogEntry,
  type LogFooter,
  type LogHeader,
  type LogIndexItem,
  SKIPPABLE_KINDS,
  lowWatermarkMax,
} from "./log.ts";

/** What object header and footer both begin with. */
export function writeHeaderFacts(out: ByteWriter, header: LogHeader): void {
  if (!/^[0-9a-f]{32}$/.test(header.nonce)) throw logMisuse("its nonce is not 32 hex digits");
  if (header.seq < 1 || header.incarnation < 1)
    throw logMisuse(`slot ${header.seq} of ${header.incarnation}`);
  if (header.lowWatermark > lowWatermarkMax(header.seq)) {
    throw logMisuse(`slot ${header.seq} with low watermark ${header.lowWatermark}`);
  }
  out.u32(LOG_MAGIC).u16(LOG_VERSION);
  out.u8(header.kind === "seal" ? 2 : 1).u8(0);
  out.u64(header.incarnation).u64(header.seq);
  out.raw(Uint8Array.fromHex(header.nonce)).u64(header.lowWatermark);
}

export function readHeaderFacts(reader: ByteReader): LogHeader {
  if (reader.u32() !== LOG_MAGIC) throw logCorrupt("it does not begin with MBWL");
  const version = reader.u16();
  if (version !== LOG_VERSION) throw tooNew(`its version is ${version}`);
  const kind = reader.u8();
  const flags = reader.u8();
  if (kind !== 1 && kind !== 2) throw tooNew(`its kind is ${kind}`);
  if (flags !== 0) throw tooNew(`its flags are ${flags}`);
  const incarnation = reader.u64() as Incarnation;
  const seq = reader.u64() as LogSeq;
  const nonce = [...reader.raw(16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const lowWatermark = reader.u64() as LogSeq;
  if (incarnation < 1 || seq < 1 || lowWatermark > lowWatermarkMax(seq)) {
    throw logCorrupt(`slot ${seq} of incarnation ${incarnation} with low watermark ${lowWatermark}`);
  }
  return { incarnation, seq, nonce, kind: kind === 2 ? "seal" : "entries", lowWatermark };
}

/**
 * Magic, header facts, items, CRC; without the length that ends an object.
 * @param metas - of the items, when they are at hand
 */
export function writeFooter(out: ByteWriter, footer: LogFooter, metas: readonly Uint8Array[] = []): void {
  const start = out.length;
  out.u32(FOOTER_MAGIC);
  writeHeaderFacts(out, footer.header);
  out.uvarint(footer.index.length);
  for (const [i, item] of footer.index.entries()) {
    if (item.kind === "unknown") throw logMisuse("an entry of unknown kind in a footer");
    const meta = metas[i] ?? encodeMeta(item);
    out.u8(ENTRY_KINDS[item.kind]).u8(entryFlags(item)).uvarint(meta.length).raw(meta);
    out.uvarint(item.offset).uvarint(item.length);
  }
  out.crc(start);
}

/** @param reader - spans exactly the footer */
export function readFooter(reader: ByteReader): LogFooter {
  const start = reader.at;
  if (reader.u32() !== FOOTER_MAGIC) throw logCorrupt("its footer does not begin with MBWF");
  const header = readHeaderFacts(reader);
  const index: LogIndexItem[] = [];
  let expected = LOG_HEADER_BYTES;
  for (let left = reader.count(5); left > 0; left--) {
    const kind = readKind(reader.u8(), reader.u8());
    const metaLength = reader.uvarint();
    const facts = decodeMeta(kind.kind, reader.raw(metaLength));
    const offset = reader.uvarint();
    const length = reader.uvarint();
    if (offset !== expected || length < LOG_ENTRY_HEADER_BYTES + metaLength + LOG_CRC_BYTES) {
      throw logCorrupt(`its footer has ${length} bytes at ${offset}`);
    }
    expected = offset + length;
    index.push({ ...kind, ...facts, offset, length });
  }
  reader.crc(start, "footer");
  reader.finish("footer");
  if (header.kind === "seal" && index.length > 0) throw logCorrupt("a SEAL with entries");
  return { header, index };
}

type Kind = Pick<LogIndexItem, "kind" | "encrypted">;
type MetaFacts = Pick<LogIndexItem, "tenant" | "epoch" | "database" | "txid" | "entryHash">;

const KIND_NAMES = new Map<number, LogEntry["kind"]>(
  Object.entries(ENTRY_KINDS).map(([name, number]) => [number, name as LogEntry["kind"]]),
);

/** @throws SystemError `object_version` for what a later version wrote and this one must not skip */
export function readKind(number: number, flags: number): Kind {
  const kind = KIND_NAMES.get(number);
  if (kind === undefined) {
    if ((flags & ENTRY_SKIPPABLE) !== 0) return { kind: "unknown" };
    throw tooNew(`it has an entry of kind ${number}`);
  }
  const encrypted = ENCRYPTABLE_KINDS.has(kind) && (flags & ENTRY_ENCRYPTED) !== 0;
  const item: Kind = encrypted ? { kind, encrypted } : { kind };
  if (flags !== entryFlags(item)) throw tooNew(`it has a ${kind} entry with flags ${flags}`);
  return item;
}

export function entryFlags(item: { kind: LogIndexItem["kind"]; encrypted?: true }): number {
  const skippable = item.kind !== "unknown" && SKIPPABLE_KINDS.has(item.kind);
  return (skippable ? ENTRY_SKIPPABLE : 0) | (item.encrypted === true ? ENTRY_ENCRYPTED : 0);
}

/** Whose entry it is and where in the chain: the same bytes in the entry and in the footer. */
export function encodeMeta(item: LogEntry | LogIndexItem): Uint8Array {
  const out = new ByteWriter(96);
  switch (item.kind) {
    case "unknown":
    case "footers":
    case "directory":
      break;
    default: {
      const { tenant, epoch } = item;
      if (tenant === undefined || epoch === undefined) throw logMisuse(`a ${item.kind} entry of no tenant`);
      out.text(tenant).uvarint(epoch);
      if (item.kind !== "data" && item.kind !== "ref") break;
      const { database, txid, entryHash } = item;
      if (database === undefined || txid === undefined || entryHash === undefined) {
        throw logMisuse(`a ${item.kind} entry without its position`);
      }
      out.text(database).uvarint(txid).raw(decodeHash(entryHash));
    }
  }
  return out.view();
}

export function decodeMeta(kind: LogIndexItem["kind"], bytes: Uint8Array): MetaFacts {
  if (kind === "unknown") return {};
  const reader = new ByteReader(bytes);
  const facts: MetaFacts = {};
  if (kind !== "footers" && kind !== "directory") {
    facts.tenant = checked(() => parseTenantId(reader.text()));
    facts.epoch = checked(() => parseEpoch(reader.uvarint()));
    if (kind === "data" || kind === "ref") {
      facts.database = checked(() => parseDatabaseName(reader.text()));
      facts.txid = checked(() => parseTxid(reader.uvarint()));
      if (facts.txid < 1) throw logCorrupt("an entry with TXID 0");
      facts.entryHash = base64Url(reader.raw(32));
    }
  }
  reader.finish("entry");
  return facts;
}

/** An id that the parsers refuse is damage here, not a caller's mistake. */
export function checked<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof SystemError) throw error;
    throw logCorrupt("an id in it is not one", error);
  }
}

export function tooNew(state: string): SystemError {
  return new SystemError("object_version", `Cannot read log object: ${state}`, {
    hint: "A later version of Manybase wrote it: run that version.",
  });
}

export const logMisuse = (state: string): SystemError =>
  new SystemError("internal", `Cannot write log object: ${state}`);
