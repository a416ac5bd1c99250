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
    const keep = prefixOf(snapshot);
    for (const name of await this.#disk.list()) {
      if (NAME.test(name) && name < keep) await this.#disk.remove(name);
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

function prefixOf({ index, term }: { index: number; term: number }): string {
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
    if (length > limits.raftRecordBytesMax || end > file.length)
      throw logCorrupt(name, offset, "ends inside a frame");
    const chunk = file.subarray(start, end);
    if (crc32(chunk) !== view.getUint32(offset + 4, true))
      throw logCorrupt(name, offset, "holds a damaged frame");
    yield chunk;
    offset = end;
  }
}
