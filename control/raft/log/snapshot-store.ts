/** Snapshots of the state machine as files: frames of {length u32, crc u32, chunk}, little endian, named by the log position. */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { Packr } from "msgpackr";
import { hex16 } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { Snapshot } from "../core/types.ts";
import { logCorrupt } from "./corrupt.ts";
import type { Disk } from "./disk.ts";

const FRAME_HEADER_BYTES = 8;
const NAME = /^snapshot-[0-9a-f]{16}-[0-9a-f]{16}$/;

/** What `Snapshot.data` holds here: the state itself is in the file. */
interface Reference {
  file: string;
  bytes: number;
  sha256: string;
}

const packr = new Packr({ useRecords: false });

export class SnapshotStore {
  readonly #disk: Disk;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** Writes chunk by chunk, giving way to the event loop in between; durable when it resolves. Returns `Snapshot.data`. */
  async save(
    position: { index: number; term: number },
    chunks: Iterable<Uint8Array>,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    const name = nameOf(position);
    const file = await this.#disk.open(`${name}.tmp`);
    const hash = createHash("sha256");
    let length = 0;
    try {
      await file.truncate(0);
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
    await this.#disk.rename(`${name}.tmp`, name);
    await this.#disk.syncDirectory();
    const reference: Reference = { file: name, bytes: length, sha256: hash.digest("hex") };
    return Uint8Array.prototype.slice.call(packr.pack(reference));
  }

  /**
   * The chunks, once the whole file has proved itself. Empty for the snapshot that a cluster is founded with.
   * @throws SystemError `log_corrupt`
   */
  async load(snapshot: Snapshot): Promise<Uint8Array[]> {
    if (snapshot.data.length === 0) return [];
    const { file: name, bytes, sha256 } = packr.unpack(snapshot.data) as Reference;
    const file = await this.#disk.read(name).catch((cause: unknown) => {
      throw logCorrupt(name, 0, "is a snapshot that cannot be read", cause);
    });
    if (file.length !== bytes) throw logCorrupt(name, 0, `holds ${file.length} bytes instead of ${bytes}`);
    if (createHash("sha256").update(file).digest("hex") !== sha256) {
      throw logCorrupt(name, 0, "is a damaged snapshot");
    }
    return [...frames(name, file)];
  }

  /** Removes what the newest snapshot replaced. */
  async removeBefore(snapshot: Snapshot): Promise<void> {
    const keep = nameOf(snapshot);
    for (const name of await this.#disk.list()) {
      if (NAME.test(name) && name < keep) await this.#disk.remove(name);
    }
  }
}

function nameOf({ index, term }: { index: number; term: number }): string {
  return `snapshot-${hex16(index)}-${hex16(term)}`;
}

function frame(chunk: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + chunk.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, chunk.length, true);
  view.setUint32(4, crc32(chunk), true);
  bytes.set(chunk, FRAME_HEADER_BYTES);
  return bytes;
}

function* frames(name: string, file: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let offset = 0;
  while (offset < file.length) {
    if (offset + FRAME_HEADER_BYTES > file.length) throw logCorrupt(name, offset, "ends inside a frame");
    const length = view.getUint32(offset, true);
    const start = offset + FRAME_HEADER_BYTES;
    const end = start + length;
    if (length > limits.raftRecordBytesMax || end > file.length) throw logCorrupt(name, offset, "ends inside a frame");
    const chunk = file.subarray(start, end);
    if (crc32(chunk) !== view.getUint32(offset + 4, true)) throw logCorrupt(name, offset, "holds a damaged frame");
    yield chunk;
    offset = end;
  }
}
