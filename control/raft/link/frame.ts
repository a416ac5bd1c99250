/** Frames of a link between two members: {length u32, crc u32, mac 16 bytes, payload}, little endian; the payload is msgpack. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { crc32 } from "node:zlib";
import { Packr } from "msgpackr";
import { SystemError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import type { StoredResult } from "../../store/remembered-results.ts";
import type { Message, Snapshot } from "../core/types.ts";

export type SnapshotMessage = Message & { kind: "snapshot"; snapshot: Snapshot };

export type Frame =
  | { kind: "message"; message: Message }
  | { kind: "propose"; id: number; command: Uint8Array }
  | { kind: "result"; id: number; result: StoredResult }
  | { kind: "failure"; id: number; code: string; text: string; retryAfterMs: number }
  /** A snapshot is ready to be fetched: so many chunks, with this hash over all of them. */
  | { kind: "offer"; message: SnapshotMessage; sha256: string; chunks: number }
  /** All chunks before `next` have arrived. */
  | { kind: "want"; sha256: string; next: number }
  | { kind: "chunk"; sha256: string; index: number; bytes: Uint8Array }
  | { kind: "ping" };

const CRC_AT = 4;
const MAC_AT = 8;
const MAC_BYTES = 16;
const HEADER_BYTES = MAC_AT + MAC_BYTES;
const packr = new Packr({ useRecords: false });

/** One direction of a link. The number of the frame is part of its mac: none can be left out, repeated or come from elsewhere. */
export class Sealer {
  readonly #key: string;
  #sequence = 0;

  constructor(key: string) {
    this.#key = key;
  }

  seal(frame: Frame): Uint8Array {
    const payload = packr.pack(frame);
    const bytes = new Uint8Array(HEADER_BYTES + payload.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, payload.length, true);
    view.setUint32(CRC_AT, crc32(payload), true);
    bytes.set(this.#mac(payload), MAC_AT);
    bytes.set(payload, HEADER_BYTES);
    return bytes;
  }

  /** @throws SystemError `object_corrupt`; the link is of no use then */
  open(bytes: Uint8Array): Frame {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < HEADER_BYTES || view.getUint32(0, true) !== bytes.length - HEADER_BYTES) {
      throw unreadable("a frame of another length than it says");
    }
    if (bytes.length > limits.raftFrameBytesMax) throw unreadable(`a frame of ${bytes.length} bytes`);
    const payload = bytes.subarray(HEADER_BYTES);
    if (crc32(payload) !== view.getUint32(CRC_AT, true)) throw unreadable("a damaged frame");
    if (!timingSafeEqual(this.#mac(payload), bytes.subarray(MAC_AT, HEADER_BYTES))) {
      throw unreadable("a frame that the other member did not sign");
    }
    return packr.unpack(payload) as Frame;
  }

  #mac(payload: Uint8Array): Uint8Array {
    this.#sequence += 1;
    const mac = createHmac("sha256", this.#key).update(`${this.#sequence}\n`).update(payload).digest();
    return mac.subarray(0, MAC_BYTES);
  }
}

function unreadable(state: string): SystemError {
  return new SystemError("object_corrupt", `Cannot read frames of another member: ${state}`);
}
