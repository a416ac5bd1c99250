import { parseDatabaseName, parseEpoch, parseLogSeq, parseTenantId, parseTxid } from "../ids.ts";
import type { Positions } from "../protocol/internal.ts";
import { base64Url } from "../protocol/mac.ts";
import { ByteReader, ByteWriter, logCorrupt } from "./bytes.ts";
import { decodeHash, hashedBody } from "./entry-hash.ts";
import { checked, logMisuse, readFooter, writeFooter } from "./footer.ts";
import type { DirectoryDatabase, LogEntry, LogFooter } from "./log.ts";

/** Bodies of these two begin with their own version, so that a later one may change them: a reader that does not know it skips them. */
const FOOTERS_VERSION = 1;
const DIRECTORY_VERSION = 1;

/** The body of an entry; for DATA the LTX file itself or what stands for it, not a copy. */
export function encodeBody(entry: LogEntry): Uint8Array {
  if (entry.kind === "data") return hashedBody(entry);
  if (entry.kind === "state") return entry.body;
  const out = new ByteWriter(256);
  switch (entry.kind) {
    case "ref":
      out.raw(hashedBody(entry)).uvarint(entry.length).text(entry.key);
      break;
    case "release":
      writePositions(out, entry.positions);
      break;
    case "drop":
      break;
    case "footers":
      out.u8(FOOTERS_VERSION).uvarint(entry.footers.length);
      for (const footer of entry.footers) {
        const bytes = new ByteWriter(1_024);
        writeFooter(bytes, footer);
        out.uvarint(bytes.length).raw(bytes.view());
      }
      break;
    case "directory":
      out.u8(DIRECTORY_VERSION).uvarint(entry.databases.length);
      for (const database of entry.databases) writeDirectoryDatabase(out, database);
      break;
  }
  return out.view();
}

export function readRef(body: Uint8Array): { sha256: string; length: number; key: string } {
  const reader = new ByteReader(body);
  const ref = { sha256: base64Url(reader.raw(32)), length: reader.uvarint(), key: reader.text() };
  reader.finish("REF");
  return ref;
}

function writePositions(out: ByteWriter, positions: Positions): void {
  const databases = Object.entries(positions);
  out.uvarint(databases.length);
  for (const [database, { txid, entryHash }] of databases) {
    out.text(database).uvarint(txid);
    if (entryHash === "") out.u8(0);
    else out.u8(32).raw(decodeHash(entryHash));
  }
}

export function readPositions(body: Uint8Array): Positions {
  const reader = new ByteReader(body);
  const positions: Positions = {};
  for (let left = reader.count(3); left > 0; left--) {
    const database = checked(() => parseDatabaseName(reader.text()));
    const txid = checked(() => parseTxid(reader.uvarint()));
    const hashLength = reader.u8();
    if ((hashLength !== 0 && hashLength !== 32) || positions[database] !== undefined) {
      throw logCorrupt(`the position of ${database} is not one`);
    }
    positions[database] = { txid, entryHash: base64Url(reader.raw(hashLength)) };
  }
  reader.finish("RELEASE");
  return positions;
}

/** @returns undefined for a later version of the body */
export function readFooters(body: Uint8Array): LogFooter[] | undefined {
  const reader = new ByteReader(body);
  if (reader.u8() !== FOOTERS_VERSION) return undefined;
  const footers: LogFooter[] = [];
  for (let left = reader.count(2); left > 0; left--) {
    footers.push(readFooter(new ByteReader(reader.raw(reader.uvarint()))));
  }
  reader.finish("FOOTERS");
  return footers;
}

/** Slots as differences, TXIDs not at all: a million pending flushes fit in one object. */
function writeDirectoryDatabase(out: ByteWriter, pending: DirectoryDatabase): void {
  out.text(pending.tenant).uvarint(pending.epoch).text(pending.database).uvarint(pending.firstTxid);
  out.uvarint(pending.entries.length);
  let previous = 0;
  for (const { seq, kind, offset, length } of pending.entries) {
    if (seq < previous) throw logMisuse(`slot ${seq} after ${previous} in a directory`);
    out.uvarint((seq - previous) * 2 + (kind === "ref" ? 1 : 0));
    out.uvarint(offset).uvarint(length);
    previous = seq;
  }
}

/** @returns undefined for a later version of the body */
export function readDirectory(body: Uint8Array): DirectoryDatabase[] | undefined {
  const reader = new ByteReader(body);
  if (reader.u8() !== DIRECTORY_VERSION) return undefined;
  const databases: DirectoryDatabase[] = [];
  for (let left = reader.count(5); left > 0; left--) {
    const tenant = checked(() => parseTenantId(reader.text()));
    const epoch = checked(() => parseEpoch(reader.uvarint()));
    const database = checked(() => parseDatabaseName(reader.text()));
    const firstTxid = checked(() => parseTxid(reader.uvarint()));
    const entries: DirectoryDatabase["entries"][number][] = [];
    let previous = 0;
    for (let items = reader.count(3); items > 0; items--) {
      const step = reader.uvarint();
      const seq = checked(() => parseLogSeq(previous + Math.floor(step / 2)));
      const kind = step % 2 === 1 ? "ref" : "data";
      entries.push({ seq, kind, offset: reader.uvarint(), length: reader.uvarint() });
      previous = seq;
    }
    databases.push({ tenant, epoch, database, firstTxid, entries });
  }
  reader.finish("DIRECTORY");
  return databases;
}
