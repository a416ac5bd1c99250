import { limits } from "../../shared/limits.ts";
import { ChunkReader } from "../http1/chunks.ts";
import { ProtocolError } from "../http1/fields.ts";
import { beginsWith, fromLatin1, headEnd } from "../http1/head.ts";
import type { Socket } from "../proxy/upstream.ts";

const READ_LARGE_BYTES = 256 * 1024;
const EMPTY: Uint8Array<ArrayBuffer> = new Uint8Array();

/** Who waits for a head. */
export interface HeadReader {
  /** The first of its bytes are there. May be told more than once. */
  begun: () => void;
  /** Its text without the empty line at its end; undefined when the client sends no more. */
  head: (text: string | undefined) => void;
  /** It is too large. */
  failed: (error: ProtocolError) => void;
}

type Came = (bytes: Uint8Array<ArrayBuffer> | null) => void;

/** What a client sends, read as far as somebody wants it, and one read ahead to see whether it is still there. */
export class Input {
  readonly #socket: Socket;
  readonly #onEnd: () => void;
  /** Read but not used. */
  #rest: Uint8Array<ArrayBuffer> = EMPTY;
  /** Where the beginning of a head is, once it has come in pieces. */
  #room = EMPTY;
  #receiving = false;
  /** Who wants what comes next. What nobody wants is kept. */
  #want: Came | undefined;
  /** A body's read under way, whoever asked for it. */
  #reading: Promise<unknown> | undefined;
  #ended = false;
  #reader: HeadReader | undefined;
  #bytesMax = 0;
  /** The last head that came by itself. */
  #lastBytes = EMPTY;
  #lastText = "";

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

  /** Tells of the next head, at once when it is there: `failed` when it is beyond `bytesMax`. */
  head(bytesMax: number, reader: HeadReader): void {
    this.#reader = reader;
    this.#bytesMax = bytesMax;
    if (this.#rest.length > 0) this.#look(this.#rest, 0);
    else this.#receive(this.#headCame);
  }

  readonly #headCame = (bytes: Uint8Array<ArrayBuffer> | null): void => {
    if (bytes === null) {
      this.#end();
      this.#reader?.head(undefined);
      return;
    }
    const seen = this.#rest.length;
    this.#look(seen === 0 ? bytes : this.#restWith(bytes), seen);
  };

  /** What there is with more behind it, in memory that grows by doubling: a head may come in many pieces. */
  #restWith(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    const rest = this.#rest;
    const length = rest.length + bytes.length;
    if (rest.buffer !== this.#room.buffer || this.#room.length < length) {
      this.#room = new Uint8Array(length * 2);
      this.#room.set(rest);
    }
    this.#room.set(bytes, rest.length);
    return this.#room.subarray(0, length);
  }

  /**
   * @param bytes all that is there, and only for now
   * @param seen so many of them were looked at before
   */
  #look(bytes: Uint8Array<ArrayBuffer>, seen: number): void {
    const reader = this.#reader;
    if (reader === undefined) return;
    if (bytes.length === this.#lastBytes.length && beginsWith(bytes, this.#lastBytes)) {
      this.#room = EMPTY;
      this.#rest = EMPTY;
      reader.head(this.#lastText);
      return;
    }
    // RFC 9112 §2.2: empty lines before a request are passed over.
    let at = 0;
    while (bytes[at] === 13 && bytes[at + 1] === 10) at += 2;
    const end = headEnd(bytes, Math.max(at, seen - 3));
    if (end - at > this.#bytesMax || bytes.length - at - 4 > this.#bytesMax) {
      this.#rest = bytes.slice(at);
      reader.failed(new ProtocolError("a head that is too large"));
      return;
    }
    if (end >= 0) {
      this.#room = EMPTY;
      // A view costs more than the few characters that are not wanted.
      const alone = at === 0 && end === bytes.length;
      const text = alone ? fromLatin1(bytes).slice(0, -4) : fromLatin1(bytes.subarray(at, end - 4));
      this.#rest = alone ? EMPTY : bytes.slice(end);
      if (alone && end <= limits.headComparedBytesMax) {
        this.#lastBytes = bytes.slice();
        this.#lastText = text;
      }
      reader.head(text);
      return;
    }
    const ours = at === 0 && bytes.buffer === this.#room.buffer;
    this.#rest = ours ? bytes : at === bytes.length ? EMPTY : bytes.slice(at);
    if (this.#rest.length > 0) reader.begun();
    this.#receive(this.#headCame);
  }

  /** A body of this length, when all of it is there already. */
  whole(length: number): Uint8Array<ArrayBuffer> | undefined {
    if (this.#rest.length < length) return undefined;
    const body = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return body;
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
        ready.push(...data);
        this.#rest = bytes.subarray(taken);
      }
    };
  }

  /** Whatever comes next, at most so much of it; undefined at the end. */
  async part(bytesMax: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#rest.length === 0 && !this.#receiving && !this.#ended) {
      const into = new Uint8Array(Math.min(bytesMax, READ_LARGE_BYTES));
      const reading = this.#socket.read(into);
      this.#reading = reading;
      const read = await reading;
      if (read !== null && read > 0) return into.subarray(0, read);
      this.#end();
      return undefined;
    }
    const bytes = this.#rest.length > 0 ? this.#rest : await this.#more();
    if (bytes === undefined) return undefined;
    const part = bytes.subarray(0, bytesMax);
    this.#rest = bytes.subarray(part.length);
    return part;
  }

  /** Reads ahead, so that the client's leaving is seen; for when nothing is being read. */
  watch(): void {
    if (this.#rest.length === 0 && !this.#receiving && !this.#ended) this.#receive(undefined);
  }

  /** Reads and forgets all that comes, also what a body's reader still waits for, until the end. */
  async drain(): Promise<void> {
    await this.#reading;
    while ((await this.part(READ_LARGE_BYTES)) !== undefined);
  }

  /** What comes next, in memory of its own. Whatever was there before must have been used. */
  #more(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#ended) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<Uint8Array<ArrayBuffer> | undefined>();
    this.#reading = promise;
    this.#receive((bytes) => {
      if (bytes === null) this.#end();
      resolve(bytes === null ? undefined : bytes.slice());
    });
    return promise;
  }

  #receive(want: Came | undefined): void {
    this.#want = want;
    if (this.#receiving) return;
    if (this.#ended) {
      want?.(null);
      return;
    }
    this.#receiving = true;
    this.#socket.receive(this.#came);
  }

  readonly #came = (bytes: Uint8Array<ArrayBuffer> | null): void => {
    this.#receiving = false;
    const want = this.#want;
    this.#want = undefined;
    if (want !== undefined) want(bytes);
    else if (bytes === null) this.#end();
    else this.#rest = bytes.slice();
  };

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
  }
}
