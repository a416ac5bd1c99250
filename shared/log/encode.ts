import { limits } from "../limits.ts";
import { encodeBody } from "./body.ts";
import { ByteWriter } from "./bytes.ts";
import { encodeMeta, entryFlags, logMisuse, writeFooter, writeHeaderFacts } from "./footer.ts";
import {
  ENTRY_KINDS,
  LOG_CRC_BYTES,
  LOG_ENTRY_HEADER_BYTES,
  LOG_FOOTER_LENGTH_BYTES,
  LOG_HEADER_BYTES,
  type LogEntry,
  type LogFooter,
  type LogHeader,
  type LogIndexItem,
} from "./log.ts";

/**
 * One object of the log. Entries keep their order, which is the order of acknowledgement; none at all is legal (a proof of life).
 *
 * @throws SystemError `internal` for what a reader would refuse, and when the object exceeds logObjectBytesMax or a DATA entry
 *   logInlineEntryBytesMax: the writer must split or use a REF
 */
export function encodeLogObject(header: LogHeader, entries: readonly LogEntry[]): Uint8Array {
  return encodeIndexedLogObject(header, entries).bytes;
}

/** The same, and what its footer says: where each entry stands, in their order. */
export function encodeIndexedLogObject(
  header: LogHeader,
  entries: readonly LogEntry[],
): { bytes: Uint8Array; footer: LogFooter } {
  if (header.kind === "seal" && entries.length > 0) throw logMisuse("a SEAL with entries");
  const out = new ByteWriter(entries.reduce((sum, entry) => sum + logEntryBytes(entry), LOG_OVERHEAD_BYTES));
  writeHeaderFacts(out, header);
  out.u64(0).crc(0);
  const metas: Uint8Array[] = [];
  const index = entries.map((entry) => {
    const meta = encodeMeta(entry);
    metas.push(meta);
    return writeLogEntry(out, entry, meta);
  });
  const footerStart = out.length;
  const footer = { header, index };
  writeFooter(out, footer, metas);
  out.u32(out.length - footerStart);
  if (out.length > limits.logObjectBytesMax) throw logMisuse(`${out.length} bytes are too many`);
  // The buffer was made for it, so a copy would save nothing.
  return { bytes: out.view(), footer };
}

/**
 * One entry as it stands in an object.
 * @param crc - of the same entry, when it stood in an object before: its last `LOG_CRC_BYTES` @throws SystemError `internal`
 */
export function writeLogEntry(
  out: ByteWriter,
  entry: LogEntry,
  meta = encodeMeta(entry),
  crc?: Uint8Array,
): LogIndexItem {
  const start = out.length;
  const body = encodeBody(entry);
  if (entry.kind === "data" && body.length > limits.logInlineEntryBytesMax) {
    throw logMisuse(`an entry of ${body.length} bytes must be a REF`);
  }
  out.u8(ENTRY_KINDS[entry.kind]).u8(entryFlags(entry)).u16(meta.length).u32(body.length);
  out.raw(meta).raw(body);
  if (crc === undefined) out.crc(start);
  else out.raw(crc);
  return { ...facts(entry), offset: start, length: out.length - start };
}

/** The checksum of an entry of an object, as a copy. */
export const entryCrc = (object: Uint8Array, { offset, length }: LogIndexItem): Uint8Array =>
  object.slice(offset + length - LOG_CRC_BYTES, offset + length);

function facts(entry: LogEntry): Omit<LogIndexItem, "offset" | "length"> {
  switch (entry.kind) {
    case "data":
    case "ref": {
      const { kind, tenant, database, epoch, txid, entryHash } = entry;
      const encrypted = entry.encrypted === true ? ({ encrypted: true } as const) : {};
      return { kind, tenant, database, epoch, txid, entryHash, ...encrypted };
    }
    case "footers":
    case "directory":
      return { kind: entry.kind };
    default: {
      const { kind, tenant, epoch } = entry;
      const isEncrypted = kind === "state" && entry.encrypted === true;
      return { kind, tenant, epoch, ...(isEncrypted ? { encrypted: true } : {}) };
    }
  }
}

/** Most bytes of an object without entries. */
export const LOG_OVERHEAD_BYTES = LOG_HEADER_BYTES + 4 + 48 + 8 + LOG_CRC_BYTES + LOG_FOOTER_LENGTH_BYTES;

/** Tenant, epoch, database, TXID, hash. */
const DATA_META_BYTES_MAX = 1 + 15 + 8 + 1 + 35 + 8 + 32;

/** Most bytes that an entry adds to an object, its line in the footer included: for a writer that fills objects. */
export function logEntryBytes(entry: LogEntry): number {
  const inFooter = 2 + 2 + 8 + 8;
  const isData = entry.kind === "data";
  const body = encodeBody(entry).length;
  const meta = isData ? DATA_META_BYTES_MAX : encodeMeta(entry).length;
  return LOG_ENTRY_HEADER_BYTES + LOG_CRC_BYTES + inFooter + meta * 2 + body;
}
