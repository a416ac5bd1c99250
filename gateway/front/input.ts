import { ChunkReader } from "../http1/chunks.ts";
import { ProtocolError } from "../http1/fields.ts";
import { headEnd } from "../http1/head.ts";
import type { Socket } from "../proxy/upstream.ts";

/** Held by every open connection, also by one that waits for events. */
const READ_BYTES = 4 * 1024;
const READ_LARGE_BYTES = 256 * 1024;
const EMPTY = new Uint8Array();

/** What a client sends, read as far as somebody wants it, and one read ahead to see whether it is still there. */
export class Input {
  readonly #socket: Socket;
  readonly #onEnd: () => void;
  readonly #buffer = new Uint8Array(READ_BYTES);
  /** Read but not used; may be a part of the buffer. */
  #rest: Uint8Array<ArrayBuffer> = EMPTY;
  #reading: Promise<number | null> | undefined;
  /** The last read, whoever asked for it. */
  #pending: Promise<unknown> | undefined;
  #ended = false;

  /** @param onEnd told once when the client has closed its side, or is gone */
  constructor(socket: Socket, onEnd: () => void) {
    this.#socket = socket;
    this.#onEnd = onEnd;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Something came already. */
  get waiting(): boolean {
    return this.#rest.length > 0;
  }

  /**
   * The bytes of a head with its empty line, as a view that holds until the next read; undefined at the end.
   *
   * @param begun told when the first of its bytes are there
   * @throws ProtocolError for a head beyond `bytesMax`
   */
  async head(bytesMax: number, begun: () => void): Promise<Uint8Array | undefined> {
    let seen = 0;
    for (;;) {
      // RFC 9112 §2.2: empty lines before a request are passed over.
      while (this.#rest[0] === 13 && this.#rest[1] === 10) this.#rest = this.#rest.subarray(2);
      const end = headEnd(this.#rest, Math.max(0, seen - 3));
      if (end > bytesMax || this.#rest.length - 4 > bytesMax)
        throw new ProtocolError("a head that is too large");
      if (end >= 0) {
        const head = this.#rest.subarray(0, end);
        this.#rest = this.#rest.subarray(end);
        return head;
      }
      seen = this.#rest.length;
      if (seen > 0) begun();
      const before = this.#rest.slice();
      const more = await this.#more();
      if (more === undefined) return undefined;
      if (seen === 0) this.#rest = more;
      else {
        this.#rest = new Uint8Array(before.length + more.length);
        this.#rest.set(before);
        this.#rest.set(more, before.length);
      }
    }
  }

  /** The next part of a body of known length, or undefined after its end. */
  fixed(length: number): () => Promise<Uint8Array<ArrayBuffer> | undefined> {
    let left = length;
    return async () => {
      if (left === 0) return undefined;
      const part = await this.part(left);
      if (part === undefined) throw new ProtocolError("a body that ended early");
      left -= part.length;
      return part;
    };
  }

  /** The next part of a chunked body, or undefined after its end. */
  chunked(): () => Promise<Uint8Array<ArrayBuffer> | undefined> {
    const reader = new ChunkReader();
    const ready: Uint8Array<ArrayBuffer>[] = [];
    return async () => {
      for (;;) {
        const next = ready.shift();
        if (next !== undefined) return next;
        if (reader.ended) return undefined;
        const bytes = this.#rest.length > 0 ? this.#rest : await this.#more();
        if (bytes === undefined) throw new ProtocolError("a body that ended early");
        const { data, taken } = reader.read(bytes);
        // What follows may be read into the same buffer before these are used.
        for (const one of data) ready.push(one.slice());
        this.#rest = bytes.subarray(taken);
      }
    };
  }

  /** Whatever comes next, at most so much of it, in memory of its own; undefined at the end. */
  async part(bytesMax: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#rest.length === 0 && this.#reading === undefined) {
      const into = new Uint8Array(Math.min(bytesMax, READ_LARGE_BYTES));
      const read = await this.#read(into);
      if (read !== null && read > 0) return into.subarray(0, read);
      this.#end();
      return undefined;
    }
    const bytes = this.#rest.length > 0 ? this.#rest : await this.#more();
    if (bytes === undefined) return undefined;
    const part = bytes.slice(0, bytesMax);
    this.#rest = bytes.subarray(part.length);
    return part;
  }

  /** Reads ahead, so that the client's leaving is seen; for when nothing is being read. */
  watch(): void {
    if (this.#rest.length > 0 || this.#reading !== undefined || this.#ended) return;
    const reading = this.#read(this.#buffer);
    this.#reading = reading;
    reading.then(
      (read) => {
        if (read === null || read === 0) this.#end();
      },
      () => this.#end(),
    );
  }

  /** Whatever must have been there before must have been used: it is read into the buffer. */
  async #more(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#ended) return undefined;
    const reading = this.#reading ?? this.#read(this.#buffer);
    this.#reading = undefined;
    const read = await reading;
    if (read !== null && read > 0) return this.#buffer.subarray(0, read);
    this.#end();
    return undefined;
  }

  /** Reads and forgets all that comes, also what a body's reader still waits for, until the end. */
  async drain(): Promise<void> {
    if (this.#reading === undefined) await this.#pending;
    while ((await this.part(READ_LARGE_BYTES)) !== undefined);
  }

  #read(into: Uint8Array): Promise<number | null> {
    const reading = this.#socket.read(into);
    this.#pending = reading;
    return reading;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
  }
}
