import { SystemError } from "../errors.ts";
import { Crc64 } from "../ltx/crc64.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Big-endian numbers and length-prefixed texts into one growing buffer. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #length = 0;

  constructor(capacity = 4_096) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#grow(1);
    this.#view.setUint8(this.#length, value);
    this.#length += 1;
    return this;
  }

  u16(value: number): this {
    this.#grow(2);
    this.#view.setUint16(this.#length, value);
    this.#length += 2;
    return this;
  }

  u32(value: number): this {
    this.#grow(4);
    this.#view.setUint32(this.#length, value);
    this.#length += 4;
    return this;
  }

  u64(value: number): this {
    return this.u32(Math.floor(value / 0x1_0000_0000)).u32(value >>> 0);
  }

  /** LEB128, at most 8 bytes: numbers up to 2^53 - 1. */
  uvarint(value: number): this {
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.u8((rest % 128) | 128);
    return this.u8(rest);
  }

  raw(bytes: Uint8Array): this {
    this.#grow(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** uvarint length, UTF-8. */
  text(value: string): this {
    const bytes = encoder.encode(value);
    return this.uvarint(bytes.length).raw(bytes);
  }

  /** The CRC-64 of everything from `start` to here. */
  crc(start: number): this {
    const crc = new Crc64().update(this.#bytes, start, this.#length);
    return this.u32(crc.high).u32(crc.low);
  }

  /** Valid until the next write. */
  view(start = 0): Uint8Array {
    return this.#bytes.subarray(start, this.#length);
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #grow(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** Reads what ByteWriter wrote, never beyond `end`. Everything it throws is SystemError `object_corrupt`. */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.end - this.at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  u64(): number {
    const value = this.u32() * 0x1_0000_0000 + this.u32();
    if (value > Number.MAX_SAFE_INTEGER) throw logCorrupt("a number is out of range");
    return value;
  }

  uvarint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      if (byte < 128) {
        // One number has one spelling, so that decode and encode give the same bytes.
        if ((byte === 0 && i > 0) || value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 128;
    }
    throw logCorrupt("a number is out of range");
  }

  /** A view, not a copy. */
  raw(length: number): Uint8Array {
    const start = this.#take(length);
    return this.bytes.subarray(start, start + length);
  }

  text(): string {
    const bytes = this.raw(this.uvarint());
    try {
      return decoder.decode(bytes);
    } catch (cause) {
      throw logCorrupt("a text is not UTF-8", cause);
    }
  }

  /** A count of things that take at least `bytesEach`, so that damage never makes a huge allocation. */
  count(bytesEach: number): number {
    const count = this.uvarint();
    if (count * bytesEach > this.remaining) throw logCorrupt("a count is larger than the bytes that follow");
    return count;
  }

  /** Reads 8 bytes and compares them with the CRC-64 of everything from `start` to here. */
  crc(start: number, what: string): void {
    const crc = new Crc64().update(this.bytes, start, this.at);
    if (this.u32() !== crc.high || this.u32() !== crc.low) {
      throw logCorrupt(`the checksum of its ${what} does not match`);
    }
  }

  finish(what: string): void {
    if (this.remaining !== 0) throw logCorrupt(`its ${what} has ${this.remaining} bytes too many`);
  }

  #take(length: number): number {
    const start = this.at;
    if (length > this.end - start) throw logCorrupt("it is cut off");
    this.at = start + length;
    return start;
  }
}

export function logCorrupt(state: string, cause?: unknown): SystemError {
  return new SystemError(
    "object_corrupt",
    `Cannot read log object: ${state}`,
    cause === undefined ? {} : { cause },
  );
}
