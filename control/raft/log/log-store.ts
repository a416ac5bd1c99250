/** The durable log of one member: segments of records, written and synced one batch at a time. */
import { SystemError } from "../../../shared/errors.ts";
import { hex16 } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { entryBytes } from "../core/raft-log.ts";
import type { Entry, HardState, Snapshot } from "../core/types.ts";
import { type Batch, encodeBatch, encodeSegmentHeader } from "./batch.ts";
import { logCorrupt } from "./corrupt.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { encodeRecord, KIND_BATCH, KIND_SEGMENT } from "./record.ts";
import { type Durable, recover, type SegmentInfo } from "./recover.ts";

export interface LogIdentity {
  clusterId: string;
  memberId: string;
}

const SEGMENT_NAME = /^log-([0-9a-f]{16})$/;

export class LogStore {
  readonly identity: LogIdentity;
  readonly #disk: Disk;
  readonly #segmentBytes: number;
  #segments: SegmentInfo[];
  #file: DiskFile;
  #length: number;
  #crc: number;
  #hardState: HardState;
  #snapshot: Snapshot;
  #failure: unknown;
  #busy = false;

  private constructor(
    disk: Disk,
    identity: LogIdentity,
    tail: { segments: SegmentInfo[]; file: DiskFile; length: number; crc: number },
    durable: { hardState: HardState; snapshot: Snapshot },
    segmentBytes: number,
  ) {
    this.#disk = disk;
    this.identity = identity;
    this.#segments = tail.segments;
    this.#file = tail.file;
    this.#length = tail.length;
    this.#crc = tail.crc;
    this.#hardState = durable.hardState;
    this.#snapshot = durable.snapshot;
    this.#segmentBytes = segmentBytes;
  }

  /** Whether the directory holds a log. */
  static async exists(disk: Disk): Promise<boolean> {
    return (await disk.list()).some((name) => SEGMENT_NAME.test(name));
  }

  /** Starts a new log from `snapshot` (index 0 for a new cluster). */
  static async create(
    disk: Disk,
    identity: LogIdentity,
    snapshot: Snapshot,
    segmentBytes: number = limits.raftSegmentBytes,
  ): Promise<LogStore> {
    const hardState: HardState = { term: snapshot.term, vote: null, commit: snapshot.index };
    const tail = await createSegment(disk, identity, 1, 0, { hardState, snapshot });
    return new LogStore(
      disk,
      identity,
      { ...tail, segments: [tail.segment] },
      { hardState, snapshot },
      segmentBytes,
    );
  }

  /**
   * Opens an existing log; a torn last record is cut off, durably, before anything is written after it.
   * @throws SystemError `log_corrupt`
   */
  static async open(
    disk: Disk,
    segmentBytes: number = limits.raftSegmentBytes,
  ): Promise<{ log: LogStore; durable: Durable }> {
    const names = await segmentNames(disk);
    const found = await recover(names, (name) => disk.read(name));
    const file = await disk.open(found.segments.at(-1)!.name);
    if (found.tailTorn) {
      await file.truncate(found.tailLength);
      await file.sync();
    }
    const tail = { segments: found.segments, file, length: found.tailLength, crc: found.crc };
    const log = new LogStore(disk, found.identity, tail, found, segmentBytes);
    return { log, durable: { hardState: found.hardState, snapshot: found.snapshot, entries: found.entries } };
  }

  /**
   * Resolves when the batch survives a power cut. One at a time. A failure is final: nobody knows what is on the disk, so
   * every later call fails too and the member must stop.
   * @throws SystemError `disk_full` or `internal`
   */
  async append(batch: Batch): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#busy) throw new SystemError("internal", "Cannot append to log: another append is under way");
    this.#busy = true;
    try {
      await this.#write(batch);
    } catch (cause) {
      this.#failure = writeFailure(cause);
      throw this.#failure;
    } finally {
      this.#busy = false;
    }
  }

  /** Removes segments that hold only entries up to `index`. */
  async compact(index: number): Promise<void> {
    let removed = 0;
    while (removed < this.#segments.length - 1 && this.#segments[removed]!.lastIndex <= index) {
      await this.#disk.remove(this.#segments[removed]!.name);
      removed++;
    }
    if (removed === 0) return;
    this.#segments = this.#segments.slice(removed);
    await this.#disk.syncDirectory();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #write(batch: Batch): Promise<void> {
    for (const part of inParts(batch)) await this.#writeRecord(part);
  }

  async #writeRecord(batch: Batch): Promise<void> {
    if (this.#length >= this.#segmentBytes) await this.#roll();
    const { bytes, crc } = encodeRecord(KIND_BATCH, this.#crc, encodeBatch(batch));
    await this.#file.write(bytes, this.#length);
    await this.#file.sync();
    this.#length += bytes.length;
    this.#crc = crc;
    this.#hardState = batch.hardState ?? this.#hardState;
    this.#snapshot = batch.snapshot?.snapshot ?? this.#snapshot;
    const info = this.#segments.at(-1)!;
    info.lastIndex = Math.max(info.lastIndex, batch.entries?.at(-1)?.index ?? 0);
  }

  async #roll(): Promise<void> {
    const sequence = this.#segments.at(-1)!.sequence + 1;
    const durable = { hardState: this.#hardState, snapshot: this.#snapshot };
    const next = await createSegment(this.#disk, this.identity, sequence, this.#crc, durable);
    const previous = this.#file;
    this.#segments = [...this.#segments, next.segment];
    this.#file = next.file;
    this.#length = next.length;
    this.#crc = next.crc;
    await previous.close();
  }
}

/**
 * A batch is one record, so that it is there as a whole or not at all; a large one (a follower that catches up) goes in several,
 * each synced before the next, so that only the last record of a log can be torn.
 */
function* inParts(batch: Batch): Generator<Batch> {
  let part: Batch = batch.entries === undefined ? batch : { ...batch, entries: [] };
  let entries: Entry[] = [];
  let bytes = 0;
  for (const entry of batch.entries ?? []) {
    bytes += entryBytes(entry);
    if (entries.length > 0 && bytes > limits.raftRecordSplitBytes) {
      yield { ...part, entries };
      part = {};
      entries = [];
      bytes = entryBytes(entry);
    }
    entries.push(entry);
  }
  yield { ...part, entries };
}

/** Under its final name a segment always has its header: it is written and synced under another first. */
async function createSegment(
  disk: Disk,
  identity: LogIdentity,
  sequence: number,
  previousCrc: number,
  durable: { hardState: HardState; snapshot: Snapshot },
): Promise<{ segment: SegmentInfo; file: DiskFile; length: number; crc: number }> {
  const name = `log-${hex16(sequence)}`;
  const payload = encodeSegmentHeader({ version: 1, ...identity, sequence, ...durable });
  const { bytes, crc } = encodeRecord(KIND_SEGMENT, previousCrc, payload);
  const file = await disk.open(`${name}.tmp`);
  await file.truncate(0);
  await file.write(bytes, 0);
  await file.sync();
  await disk.rename(`${name}.tmp`, name);
  await disk.syncDirectory();
  return { segment: { name, sequence, lastIndex: 0 }, file, length: bytes.length, crc };
}

async function segmentNames(disk: Disk): Promise<{ name: string; sequence: number }[]> {
  const names = (await disk.list())
    .map((name) => ({ name, match: SEGMENT_NAME.exec(name) }))
    .filter(({ match }) => match !== null)
    .map(({ name, match }) => ({ name, sequence: Number.parseInt(match![1]!, 16) }))
    .sort((a, b) => a.sequence - b.sequence);
  for (const [position, { name, sequence }] of names.entries()) {
    if (sequence !== names[0]!.sequence + position)
      throw logCorrupt(name, 0, "follows a segment that is missing");
  }
  return names;
}

function writeFailure(cause: unknown): SystemError {
  const full = (cause as { code?: unknown }).code === "ENOSPC";
  return full
    ? new SystemError("disk_full", "Cannot append to log: the disk is full", {
        hint: "Free space on the disk of the control directory and start this member again.",
        cause,
      })
    : new SystemError("internal", "Cannot append to log: the disk did not confirm the write", {
        hint: "Check the disk of the control directory; start this member again when it is sound.",
        cause,
      });
}
