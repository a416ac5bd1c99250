/** Reads a whole log back: what is durable, where to go on writing, and a torn last record's place. */
import type { Entry, HardState, Snapshot } from "../core/types.ts";
import { type Batch, decodeBatch, decodeSegmentHeader, type SegmentHeader } from "./batch.ts";
import { logCorrupt } from "./corrupt.ts";
import { isTorn, KIND_BATCH, KIND_SEGMENT, readRecord, type Record } from "./record.ts";

/** What the core starts from. */
export interface Durable {
  hardState: HardState;
  snapshot: Snapshot;
  /** From snapshot.index + 1 on, or earlier: the log keeps some entries that the snapshot covers. */
  entries: Entry[];
}

export interface SegmentInfo {
  name: string;
  sequence: number;
  /** Highest entry index in it; when it is compacted the segment can go. */
  lastIndex: number;
}

export interface Recovered extends Durable {
  identity: { clusterId: string; memberId: string };
  segments: SegmentInfo[];
  /** Length of the last segment that holds whole records; what follows is torn. */
  tailLength: number;
  tailTorn: boolean;
  crc: number;
}

/** Applies a batch to what was durable before it. Shared by recovery and the running log, so both agree on what is durable. */
export function applyBatch(durable: Durable, batch: Batch): void {
  if (batch.hardState !== undefined) durable.hardState = batch.hardState;
  if (batch.snapshot !== undefined) {
    durable.snapshot = batch.snapshot.snapshot;
    if (batch.snapshot.replacesLog) durable.entries = [];
  }
  const first = batch.entries?.[0];
  if (first === undefined) return;
  // With no entry before it, a batch may start anywhere: segments before it may be gone, and the snapshot that covers them
  // may come later in the log. Whether it does is checked at the end.
  const offset = durable.entries[0]?.index ?? first.index;
  if (first.index > offset + durable.entries.length) throw new RangeError("entries leave a gap");
  if (first.index <= offset) durable.entries = [...batch.entries!];
  else {
    durable.entries.length = first.index - offset;
    for (const entry of batch.entries!) durable.entries.push(entry);
  }
}

/**
 * `segments` in order of their sequence numbers, at least one.
 * @throws SystemError `log_corrupt`
 */
export async function recover(
  names: readonly { name: string; sequence: number }[],
  read: (name: string) => Promise<Uint8Array>,
): Promise<Recovered> {
  let header: SegmentHeader | undefined;
  let durable: Durable | undefined;
  let crc = 0;
  let tailLength = 0;
  let tailTorn = false;
  const segments: SegmentInfo[] = [];
  for (const [position, { name, sequence }] of names.entries()) {
    const file = await read(name);
    const last = position === names.length - 1;
    const head = readRecord(file, 0);
    if (head?.kind !== KIND_SEGMENT) throw logCorrupt(name, 0, "does not start with a segment header");
    const here = parse(name, 0, () => decodeSegmentHeader(head.payload));
    checkHeader(name, here, sequence, header);
    if (position > 0 && head.previousCrc !== crc)
      throw logCorrupt(name, 0, "does not follow the segment before it");
    header ??= here;
    durable ??= { hardState: here.hardState, snapshot: here.snapshot, entries: [] };
    const info: SegmentInfo = { name, sequence, lastIndex: 0 };
    segments.push(info);
    crc = head.crc;
    let offset = head.end;
    while (offset < file.length) {
      const record = readRecord(file, offset);
      if (record === undefined) {
        if (!last || !isTorn(file, offset)) throw logCorrupt(name, offset, "holds a damaged record");
        tailTorn = true;
        break;
      }
      if (record.previousCrc !== crc) throw logCorrupt(name, offset, "breaks the chain of records");
      replay(durable, record, name, offset, info);
      crc = record.crc;
      offset = record.end;
    }
    tailLength = offset;
  }
  if (header === undefined || durable === undefined) throw new RangeError("recover needs a segment");
  const lastIndex = durable.entries.at(-1)?.index ?? durable.snapshot.index;
  if (durable.hardState.commit > Math.max(lastIndex, durable.snapshot.index)) {
    throw logCorrupt(
      names.at(-1)!.name,
      tailLength,
      `ends at entry ${lastIndex}, but entry ${durable.hardState.commit} was committed`,
    );
  }
  if ((durable.entries[0]?.index ?? 0) > durable.snapshot.index + 1) {
    throw logCorrupt(names[0]!.name, 0, "starts after entries that no snapshot holds");
  }
  const identity = { clusterId: header.clusterId, memberId: header.memberId };
  return { ...durable, identity, segments, tailLength, tailTorn, crc };
}

function replay(durable: Durable, record: Record, name: string, offset: number, info: SegmentInfo): void {
  if (record.kind !== KIND_BATCH)
    throw logCorrupt(name, offset, `holds a record of unknown kind ${record.kind}`);
  parse(name, offset, () => {
    const batch = decodeBatch(record.payload);
    applyBatch(durable, batch);
    info.lastIndex = Math.max(info.lastIndex, batch.entries?.at(-1)?.index ?? 0);
  });
}

function checkHeader(
  name: string,
  here: SegmentHeader,
  sequence: number,
  first: SegmentHeader | undefined,
): void {
  if (here.version !== 1)
    throw logCorrupt(name, 0, `has version ${String(here.version)}, which is not known`);
  if (here.sequence !== sequence) throw logCorrupt(name, 0, `is segment ${here.sequence} under another name`);
  if (first === undefined) return;
  if (here.clusterId !== first.clusterId || here.memberId !== first.memberId) {
    throw logCorrupt(name, 0, "belongs to another member or cluster than the segments before it");
  }
}

function parse<T>(name: string, offset: number, fn: () => T): T {
  try {
    return fn();
  } catch (cause) {
    throw logCorrupt(name, offset, "holds a record that cannot be understood", cause);
  }
}
