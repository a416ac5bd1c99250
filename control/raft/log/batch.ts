/** Payloads of the log's records, as msgpack. */
import { Packr } from "msgpackr";
import type { Entry, HardState, Membership, Snapshot } from "../core/types.ts";

/** What one write makes durable together. */
export interface Batch {
  hardState?: HardState;
  /** `replacesLog`: it came from the leader, entries before it are gone. Otherwise it was taken here of what was applied. */
  snapshot?: { snapshot: Snapshot; replacesLog: boolean };
  /** Contiguous. They replace every entry from the first one's index on. */
  entries?: readonly Entry[];
}

/** First record of a segment: whose log this is, and all that older segments are needed for but entries. */
export interface SegmentHeader {
  version: 1;
  clusterId: string;
  memberId: string;
  sequence: number;
  hardState: HardState;
  snapshot: Snapshot;
}

/** `data` stands only beside a membership. */
type WireEntry = [index: number, term: number, content: Uint8Array | Membership | null, data?: Uint8Array];
interface WireBatch {
  h?: HardState;
  s?: Snapshot;
  r?: boolean;
  e?: WireEntry[];
}

const packr = new Packr({ useRecords: false });

export function encodeBatch(batch: Batch): Uint8Array {
  const wire: WireBatch = {};
  if (batch.hardState !== undefined) wire.h = batch.hardState;
  if (batch.snapshot !== undefined) {
    wire.s = batch.snapshot.snapshot;
    wire.r = batch.snapshot.replacesLog;
  }
  if (batch.entries !== undefined && batch.entries.length > 0) wire.e = batch.entries.map(toWire);
  return packr.pack(wire);
}

export function decodeBatch(payload: Uint8Array): Batch {
  const wire = packr.unpack(payload) as WireBatch;
  const batch: Batch = {};
  if (wire.h !== undefined) batch.hardState = wire.h;
  if (wire.s !== undefined) batch.snapshot = { snapshot: wire.s, replacesLog: wire.r === true };
  if (wire.e !== undefined) batch.entries = wire.e.map(fromWire);
  return batch;
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  return packr.pack(header);
}

export function decodeSegmentHeader(payload: Uint8Array): SegmentHeader {
  return packr.unpack(payload) as SegmentHeader;
}

function toWire(entry: Entry): WireEntry {
  if (entry.kind === "data") return [entry.index, entry.term, entry.data];
  if (entry.kind === "noop") return [entry.index, entry.term, null];
  const { index, term, membership, data } = entry;
  return data === undefined ? [index, term, membership] : [index, term, membership, data];
}

function fromWire([index, term, content, data]: WireEntry): Entry {
  if (content === null) return { index, term, kind: "noop" };
  if (content instanceof Uint8Array) return { index, term, kind: "data", data: content };
  const entry = { index, term, kind: "membership", membership: content } as const;
  return data === undefined ? entry : { ...entry, data };
}
