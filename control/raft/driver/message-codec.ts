/** Frames between members: {length u32, crc u32, payload}, little endian; the payload is msgpack of [version, cluster id, message]. */
import { crc32 } from "node:zlib";
import { Packr } from "msgpackr";
import { SystemError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import type { Message } from "../core/types.ts";

const HEADER_BYTES = 8;
const VERSION = 1;
const packr = new Packr({ useRecords: false });

export function encodeMessage(clusterId: string, message: Message): Uint8Array {
  const payload = packr.pack([VERSION, clusterId, message]);
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, payload.length, true);
  view.setUint32(4, crc32(payload), true);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

/**
 * The messages of whole frames at the start of `bytes`, and how many bytes they took; what is left is a frame that has not arrived
 * in full.
 * @throws SystemError `object_corrupt`, `object_version`, or `object_foreign` when the sender belongs to another cluster
 */
export function decodeMessages(clusterId: string, bytes: Uint8Array): { messages: Message[]; taken: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: Message[] = [];
  let taken = 0;
  while (taken + HEADER_BYTES <= bytes.length) {
    const length = view.getUint32(taken, true);
    if (length > limits.raftRecordBytesMax) throw unreadable(`a frame of ${length} bytes`);
    const start = taken + HEADER_BYTES;
    if (start + length > bytes.length) break;
    const payload = bytes.subarray(start, start + length);
    if (crc32(payload) !== view.getUint32(taken + 4, true)) throw unreadable("a damaged frame");
    messages.push(messageOf(clusterId, payload));
    taken = start + length;
  }
  return { messages, taken };
}

function messageOf(clusterId: string, payload: Uint8Array): Message {
  // The payload outlives the buffer that it arrived in.
  const [version, sender, message] = packr.unpack(payload.slice()) as [number, string, Message];
  if (version !== VERSION) {
    throw new SystemError("object_version", `Cannot read message: version ${String(version)} is not known`, {
      hint: "Upgrade this member, or the one that sent it.",
    });
  }
  if (sender !== clusterId) {
    throw new SystemError(
      "object_foreign",
      `Cannot read message: it is from cluster ${sender}, not ${clusterId}`,
      {
        hint: "A member's address points to a member of another cluster.",
      },
    );
  }
  return message;
}

function unreadable(state: string): SystemError {
  return new SystemError("object_corrupt", `Cannot read messages of another member: ${state}`);
}
