/** Snapshots of the state machine as files: frames of {length u32, crc u32, chunk}, little endian, named by the log position. */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { Packr } from "msgpackr";
import { hex16 } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { Snapshot } from "../core/types.ts";
import { logCorrupt } from "./corrupt.ts";
import type { Disk } from "./disk.ts";
import { FRAME_HEADER_BYTES, SnapshotHash, frameHeader } from "./snapshot-hash.ts";

const NAME = /^snapshot-[0-9a-f]{16}-[0-9a-f]{16}-[0-9]+$/;

/** What `Snapshot.data` holds here: the state itself is in the file. */
interface Reference {
  file: string;
  bytes: number;
  sha256: string;
}

const packr = new Packr({ useRecords: false });

export class SnapshotStore {
  readonly #disk: Disk;
  readonly #beingWritten = new Set<string>();

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** Writes chunk by chunk, giving way to the event loop in between; durable when it resolves. Returns `Snapshot.data`. */
  async save(
    position: { index: number; term: number },
    chunks: Iterable<Uint8Array>,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    const name = await this.#newName(position);
    try {
      const { length, sha256 } = await this.#write(`${name}.tmp`, chunks, signal);
      await this.#disk.rename(`${name}.tmp`, name);
      await this.#disk.syncDirectory();
      const reference: Reference = { file: name, bytes: length, sha256 };
      return Uint8Array.prototype.slice.call(packr.pack(reference));
    } finally {
      this.#beingWritten.delete(name);
    }
  }

  /**
   * The chunks, read piece by piece so that others have their turn; none for the snapshot that a cluster is founded with. Only at the end
   * has the whole file proved itself: what is made of the chunks counts for nothing before.
   * @throws SystemError `log_corrupt`
   */
  async *load(snapshot: Snapshot): AsyncGenerator<Uint8Array, void, void> {
    if (snapshot.data.length === 0) return;
    const { file: name, bytes, sha256 } = referenceOf(snapshot);
    const hash = createHash("sha256");
    let length = 0;
    let rest: Uint8Array = new Uint8Array();
    for await (const piece of this.#pieces(name)) {
      hash.update(piece);
      length += piece.length;
      if (length > bytes) throw logCorrupt(name, bytes, `goes on behind its ${bytes} bytes`);
      rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
      for (;;) {
        const chunk = firstChunk(name, length - rest.length, rest);
        if (chunk === undefined) break;
        yield chunk;
        rest = rest.subarray(FRAME_HEADER_BYTES + chunk.length);
      }
    }
    if (length !== bytes) throw logCorrupt(name, length, `ends, ${bytes - length} bytes too early`);
    if (rest.length > 0) throw logCorrupt(name, length - rest.length, "ends inside a frame");
    if (hash.digest("hex") !== sha256) throw logCorrupt(name, 0, "is a damaged snapshot");
  }

  /** Removes what the newest snapshot replaced. */
  async removeBefore(snapshot: Snapshot): Promise<void> {
    const keep = prefixOf(snapshot);
    for (const name of await this.#disk.list()) {
      if (NAME.test(name) && name < keep) await this.#disk.remove(name);
    }
  }

  async *#pieces(name: string): AsyncGenerator<Uint8Array, void, void> {
    try {
      yield* this.#disk.pieces(name, limits.raftSnapshotReadBytes);
    } catch (cause) {
      throw logCorrupt(name, 0, "is a snapshot that cannot be read", cause);
    }
  }

  /** Never a name that is in use: a snapshot of the same position may be referred to already, with other bytes. */
  async #newName(position: { index: number; term: number }): Promise<string> {
    const taken = new Set(await this.#disk.list());
    for (let attempt = 0; ; attempt++) {
      const name = `${prefixOf(position)}-${attempt}`;
      if (taken.has(name) || taken.has(`${name}.tmp`) || this.#beingWritten.has(name)) continue;
      this.#beingWritten.add(name);
      return name;
    }
  }

  async #write(
    name: string,
    chunks: Iterable<Uint8Array>,
    signal: AbortSignal | undefined,
  ): Promise<{ length: number; sha256: string }> {
    const file = await this.#disk.open(name);
    const hash = createHash("sha256");
    let length = 0;
    try {
      for (const chunk of chunks) {
        signal?.throwIfAborted();
        const bytes = frame(chunk);
        hash.update(bytes);
        await file.write(bytes, length);
        length += bytes.length;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    return { length, sha256: hash.digest("hex") };
  }
}

function referenceOf(snapshot: Snapshot): Reference {
  return packr.unpack(snapshot.data) as Reference;
}

/** Of its file. */
export function snapshotBytes(snapshot: Snapshot): number {
  return snapshot.data.length === 0 ? 0 : referenceOf(snapshot).bytes;
}

/** `SnapshotHash` over its chunks, from when they were written. */
export function snapshotHash(snapshot: Snapshot): string {
  return snapshot.data.length === 0 ? new SnapshotHash().digest() : referenceOf(snapshot).sha256;
}

function prefixOf({ index, term }: { index: number; term: number }): string {
  return `snapshot-${hex16(index)}-${hex16(term)}`;
}

function frame(chunk: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + chunk.length);
  bytes.set(frameHeader(chunk));
  bytes.set(chunk, FRAME_HEADER_BYTES);
  return bytes;
}

/** Of a file's part that starts with a frame, at `offset`; undefined when the frame is not all there yet. */
function firstChunk(name: string, offset: number, part: Uint8Array): Uint8Array | undefined {
  if (part.length < FRAME_HEADER_BYTES) return undefined;
  const view = new DataView(part.buffer, part.byteOffset, part.byteLength);
  const length = view.getUint32(0, true);
  if (length > limits.raftRecordBytesMax) throw logCorrupt(name, offset, "holds a damaged frame");
  const end = FRAME_HEADER_BYTES + length;
  if (end > part.length) return undefined;
  const chunk = part.subarray(FRAME_HEADER_BYTES, end);
  if (crc32(chunk) !== view.getUint32(4, true)) throw logCorrupt(name, offset, "holds a damaged frame");
  return chunk;
}
