import { limits } from "../../shared/limits.ts";
import { ProtocolError } from "./fields.ts";
import { toLatin1 } from "./head.ts";

/** A longer text is encoded by the runtime, which is quicker only then. */
const LOOPED_CHARACTERS_MAX = 512;
const DIGITS = toLatin1("0123456789abcdef");

/**
 * Where a message is put together before a socket takes it. To copy bytes that are there already costs a fraction of joining texts and
 * encoding the whole.
 */
export class Outgoing {
  bytes = new Uint8Array(limits.sendTogetherBytesMax);
  length = 0;

  /** Empty again. */
  begin(): this {
    this.length = 0;
    if (this.bytes.length > limits.sendTogetherBytesMax) this.#replace(limits.sendTogetherBytesMax);
    return this;
  }

  put(bytes: Uint8Array): void {
    const { length } = this;
    const end = length + bytes.length;
    if (end > this.bytes.length) this.#grow(end);
    this.bytes.set(bytes, length);
    this.length = end;
  }

  /**
   * Characters as the bytes of the same numbers.
   *
   * @throws ProtocolError for a character that is no byte; nothing of the text is there then
   */
  text(text: string): void {
    const { length } = text;
    if (length > LOOPED_CHARACTERS_MAX) {
      this.put(toLatin1(text));
      return;
    }
    if (this.length + length > this.bytes.length) this.#grow(this.length + length);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code > 255) throw new ProtocolError("a header that is not of bytes");
      bytes[at++] = code;
    }
    this.length = at;
  }

  /** So many bytes as hex digits, lower case. */
  hex(source: Uint8Array, from: number, count: number): void {
    if (this.length + count * 2 > this.bytes.length) this.#grow(this.length + count * 2);
    const { bytes } = this;
    let at = this.length;
    for (let i = from; i < from + count; i++) {
      const byte = source[i] ?? 0;
      bytes[at++] = DIGITS[byte >> 4] ?? 0;
      bytes[at++] = DIGITS[byte & 15] ?? 0;
    }
    this.length = at;
  }

  /** What is there, in memory of its own, with a body behind it. */
  copy(body: Uint8Array | null): Uint8Array<ArrayBuffer> {
    const { length } = this;
    if (body === null) return this.bytes.slice(0, length);
    const all = new Uint8Array(length + body.length);
    all.set(this.bytes.subarray(0, length));
    all.set(body, length);
    return all;
  }

  /** Heads are bounded where they are read; one may be larger here by what is added to it. */
  #grow(bytesMin: number): void {
    const { bytes, length } = this;
    this.#replace(Math.max(bytesMin, bytes.length * 2));
    this.bytes.set(bytes.subarray(0, length));
  }

  #replace(bytes: number): void {
    this.bytes = new Uint8Array(bytes);
  }
}

/** For who puts together and sends within one turn. */
export const outgoing = new Outgoing();
