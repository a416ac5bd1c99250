import { ltxCorrupt } from "./ltx.ts";

export function readU32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

/** Above 2^53 a number would be rounded: no file of ours or of a real database gets there. */
export function readU64(bytes: Uint8Array, at: number): number {
  const value = readU32(bytes, at) * 0x1_0000_0000 + readU32(bytes, at + 4);
  if (value > Number.MAX_SAFE_INTEGER) throw ltxCorrupt("a number is out of range");
  return value;
}

export function readUvarint(bytes: Uint8Array, cursor: { at: number }): number {
  let value = 0;
  let scale = 1;
  for (let i = 0; i < 8; i++) {
    const byte = bytes[cursor.at++];
    if (byte === undefined) throw ltxCorrupt("its index is cut off");
    value += (byte & 127) * scale;
    if (byte < 128) {
      // One number has one spelling, so that equal files are equal bytes.
      if ((byte === 0 && i > 0) || value > Number.MAX_SAFE_INTEGER) break;
      return value;
    }
    scale *= 128;
  }
  throw ltxCorrupt("a number in its index is out of range");
}
