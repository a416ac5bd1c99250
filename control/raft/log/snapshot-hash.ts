import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";

export const FRAME_HEADER_BYTES = 8;

/** What stands before a chunk in a snapshot's file: {length u32, crc u32}, little endian. */
export function frameHeader(chunk: Uint8Array): Uint8Array {
  const header = new Uint8Array(FRAME_HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint32(0, chunk.length, true);
  view.setUint32(4, crc32(chunk), true);
  return header;
}

/** SHA-256 of the file that holds these chunks; fed chunk by chunk. */
export class SnapshotHash {
  readonly #hash = createHash("sha256");

  add(chunk: Uint8Array): void {
    this.#hash.update(frameHeader(chunk)).update(chunk);
  }

  /** Once. */
  digest(): string {
    return this.#hash.digest("hex");
  }
}
