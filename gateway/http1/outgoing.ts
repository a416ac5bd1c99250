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
  bytes = new Uint8Array(limits.outgoingBytes);
  /** Where the message begins and ends. */
  from = 0;
  to = 0;
  /** Before this are messages that somebody still has to send. */
  #kept = 0;

  get length(): number {
    return this.to - this.from;
  }

  /** An empty message. The one before is gone, unless it is kept. */
  begin(): this {
    if (this.bytes.length > limits.outgoingBytes) this.replace();
    this.from = this.#kept;
    this.to = this.#kept;
    return this;
  }

  /** The message stays where it is, in these very bytes, until `forget`. */
  keep(): void {
    this.#kept = this.to;
  }

  /** No message is kept any more. */
  forget(): void {
    this.#kept = 0;
  }

  /** Other memory: whoever has what was there keeps it. */
  replace(bytes: Uint8Array<ArrayBuffer> = new Uint8Array(limits.outgoingBytes)): void {
    this.bytes = bytes;
    this.#kept = 0;
  }

  put(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.bytes.set(bytes, at);
    this.to = at + bytes.length;
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
    let at = this.#room(length);
    const { bytes } = this;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code > 255) throw new ProtocolError("a header that is not of bytes");
      bytes[at++] = code;
    }
    this.to = at;
  }

  /** So many bytes as hex digits, lower case. */
  hex(source: Uint8Array, from: number, count: number): void {
    this.to = this.#room(count * 2) + count * 2;
    this.setHex(count * 2, source, from, count);
  }

  /** The same over what is there, so many bytes before its end. */
  setHex(before: number, source: Uint8Array, from: number, count: number): void {
    const { bytes } = this;
    let at = this.to - before;
    for (let i = from; i < from + count; i++) {
      const byte = source[i] ?? 0;
      bytes[at++] = DIGITS[byte >> 4] ?? 0;
      bytes[at++] = DIGITS[byte & 15] ?? 0;
    }
  }

  /** What is there, in memory of its own, with a body behind it. */
  copy(body: Uint8Array | null): Uint8Array<ArrayBuffer> {
    const { bytes, from, to, length } = this;
    if (body === null) return bytes.slice(from, to);
    const all = new Uint8Array(length + body.length);
    all.set(bytes.subarray(from, to));
    all.set(body, length);
    return all;
  }

  /** Where so many more bytes have room. Heads are bounded where they are read; one may be larger here by what is added to it. */
  #room(more: number): number {
    const { bytes, from, to, length } = this;
    if (to + more <= bytes.length) return to;
    this.replace(new Uint8Array(Math.max(limits.outgoingBytes, (length + more) * 2)));
    this.bytes.set(bytes.subarray(from, to));
    this.from = 0;
    this.to = length;
    return length;
  }
}

/** For who puts together and sends within one turn. */
export const outgoing = new Outgoing();
