import { limits } from "../../shared/limits.ts";
import type { Socket, UpstreamAnswer, UpstreamRequest } from "../proxy/upstream.ts";
import { ChunkReader } from "./chunks.ts";
import { ProtocolError } from "./fields.ts";
import { type Head, fromLatin1, headEnd, parseHead, toLatin1, withHead } from "./head.ts";

const WRITE_TOGETHER_BYTES = 64 * 1024;
/** Held by every open connection, also by one that waits for events. */
const READ_BYTES = 4 * 1024;
const READ_LARGE_BYTES = 256 * 1024;
const EMPTY = new Uint8Array();

/**
 * One HTTP/1.1 connection to a worker, one request at a time. A read is always waiting while it is idle, so that the worker's end of it is
 * seen at once and a request does not meet a dead connection.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #host: string;
  /** Told when a request and its answer are over and the connection is good for another, or closed. */
  readonly #free: (connection: Connection) => void;
  readonly #buffer = new Uint8Array(READ_BYTES);
  /** Read but not used: a part of the buffer. */
  #rest: Uint8Array<ArrayBuffer> = EMPTY;
  #reading: Promise<number | null> | undefined;
  /** Nothing was asked for. */
  #resting = false;
  #sent = true;
  #sendError: unknown;
  closed = false;
  idleSinceMs = 0;

  constructor(socket: Socket, host: string, free: (connection: Connection) => void) {
    this.#socket = socket;
    this.#host = host;
    this.#free = free;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#socket.close();
  }

  async send(request: UpstreamRequest): Promise<UpstreamAnswer> {
    const { stop } = request;
    stop.tell(() => this.close());
    const done = (): void => stop.tell(undefined);
    this.#sent = false;
    this.#sendError = undefined;
    try {
      stop.throwIfStopped();
      const sending = this.#write(request);
      if (sending === undefined) this.#sent = true;
      else sending.then(this.#whenSent, this.#whenUnsent);
      const head = await this.#head(request);
      if (head.status === 101) return this.#tunnel(head, done);
      const body = await this.#body(head, done);
      return { status: head.status, fields: head.fields, body };
    } catch (error) {
      this.close();
      done();
      stop.throwIfStopped();
      throw this.#sendError ?? error;
    }
  }

  readonly #whenSent = (): void => {
    this.#sent = true;
  };

  /** It is why there is no answer, and the one to tell, unless an answer came all the same. */
  readonly #whenUnsent = (error: unknown): void => {
    this.#sendError = error;
    this.close();
  };

  /** The head and a small body at once; a stream goes on by itself. @returns undefined when all was sent at once */
  #write({ method, path, fields, body, socket }: UpstreamRequest): Promise<void> | undefined {
    let text = `${method} ${path} HTTP/1.1\r\nhost: ${this.#host}\r\n`;
    if (socket === true) text += "connection: upgrade\r\nupgrade: websocket\r\n";
    let declared: number | undefined;
    for (const field of fields) {
      const name = field[0];
      const value = field[1];
      if (name === "content-length") {
        declared = Number(value);
      } else {
        if (value.includes("\n") || value.includes("\r")) throw new ProtocolError("a broken header");
        text += `${name}: ${value}\r\n`;
      }
    }
    if (body === null) {
      const mayHave = method === "POST" || method === "PUT" || method === "PATCH";
      return this.#writeAll(toLatin1(`${text}${mayHave ? "content-length: 0\r\n" : ""}\r\n`));
    }
    if (body instanceof Uint8Array) {
      const head = `${text}content-length: ${body.length}\r\n\r\n`;
      if (body.length > WRITE_TOGETHER_BYTES) return this.#writeBoth(toLatin1(head), body);
      return this.#writeAll(withHead(head, body));
    }
    const framing = declared === undefined ? "transfer-encoding: chunked" : `content-length: ${declared}`;
    return this.#writeStream(toLatin1(`${text}${framing}\r\n\r\n`), body, declared);
  }

  async #writeBoth(head: Uint8Array, body: Uint8Array): Promise<void> {
    await this.#writeAll(head);
    await this.#writeAll(body);
  }

  /** Never more or less than was declared: what follows on the connection would be read as another request. */
  async #writeStream(
    head: Uint8Array,
    body: ReadableStream<Uint8Array>,
    declared: number | undefined,
  ): Promise<void> {
    let bytes = 0;
    try {
      await this.#writeAll(head);
      for await (const part of body) {
        if (part.length === 0) continue;
        bytes += part.length;
        if (declared === undefined) {
          await this.#writeAll(toLatin1(`${part.length.toString(16)}\r\n`));
          await this.#writeAll(part);
          await this.#writeAll(toLatin1("\r\n"));
        } else {
          if (bytes > declared) throw new ProtocolError("a body longer than it says");
          await this.#writeAll(part);
        }
      }
      if (declared === undefined) await this.#writeAll(toLatin1("0\r\n\r\n"));
      else if (bytes !== declared) throw new ProtocolError("a body shorter than it says");
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** @returns undefined when the system took all of it at once */
  #writeAll(bytes: Uint8Array): Promise<void> | undefined {
    const written = this.#socket.write(bytes);
    if (typeof written === "number" && written === bytes.length) return undefined;
    return this.#writeRest(bytes, written);
  }

  async #writeRest(bytes: Uint8Array, first: number | Promise<number>): Promise<void> {
    let left = bytes.subarray(await first);
    while (left.length > 0) left = left.subarray(await this.#socket.write(left));
  }

  /** The answer's head; interim answers (100, 103) are passed over. */
  async #head({ method, socket }: UpstreamRequest): Promise<Head> {
    for (let interim = 0; interim < 8; interim++) {
      const end = await this.#untilHead();
      const head = parseHead(fromLatin1(this.#rest.subarray(0, end - 4)), method);
      this.#rest = this.#rest.subarray(end);
      if (head.status >= 200 || (head.status === 101 && socket === true)) return head;
      if (head.status === 101) throw new ProtocolError("an upgrade that nobody asked for");
    }
    throw new ProtocolError("too many interim answers");
  }

  async #untilHead(): Promise<number> {
    let seen = 0;
    for (;;) {
      const end = headEnd(this.#rest, Math.max(0, seen - 3));
      if (end >= 0) return end;
      seen = this.#rest.length;
      if (seen > limits.upstreamHeadBytesMax) throw new ProtocolError("a head that is too large");
      // What is there lies in the buffer that is read into.
      const before = seen === 0 ? EMPTY : this.#rest.slice();
      const reading = this.#reading ?? this.#socket.read(this.#buffer);
      this.#reading = undefined;
      const read = await reading;
      if (read === null || read === 0) throw new Error("the connection ended before the answer");
      const more = this.#buffer.subarray(0, read);
      this.#rest = seen === 0 ? more : joined(before, more);
    }
  }

  /** From here on the connection is whoever's who asked for it. */
  #tunnel({ status, fields }: Head, done: () => void): UpstreamAnswer {
    done();
    const early = this.#rest.slice();
    this.#rest = EMPTY;
    const socket: Socket = {
      read: (into) => this.#socket.read(into),
      write: (bytes) => this.#socket.write(bytes),
      // Of both ends either may be the first, and a second time is an error of some runtimes.
      close: () => this.close(),
    };
    return { status, fields, body: null, tunnel: { socket, early } };
  }

  /** A small body is read before it is handed on, which costs everybody less than a stream. */
  #body(head: Head, done: () => void): UpstreamAnswer["body"] | Promise<UpstreamAnswer["body"]> {
    const over = (reusable: boolean): void => {
      done();
      this.#end(reusable && head.persistent);
    };
    const { length } = head;
    if (length === 0) {
      over(true);
      return null;
    }
    if (typeof length === "number") {
      if (this.#rest.length >= length) {
        const bytes = this.#rest.slice(0, length);
        this.#rest = this.#rest.subarray(length);
        over(true);
        return bytes;
      }
      if (length <= limits.upstreamBodyTogetherBytesMax) return this.#together(length, over);
      return this.#stream(this.#fixed(length), over);
    }
    return this.#stream(length === "chunked" ? this.#chunked() : this.#untilClose(), over);
  }

  async #together(length: number, over: (reusable: boolean) => void): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length);
    bytes.set(this.#rest);
    let filled = this.#rest.length;
    this.#rest = EMPTY;
    while (filled < length) {
      const read = await this.#socket.read(bytes.subarray(filled));
      if (read === null || read === 0) throw new Error("the connection ended within the answer");
      filled += read;
    }
    over(true);
    return bytes;
  }

  /** The stream of what `next` gives; undefined is the end. */
  #stream(
    next: () => Promise<Uint8Array | undefined>,
    over: (reusable: boolean) => void,
  ): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          try {
            const part = await next();
            if (part !== undefined) {
              controller.enqueue(part);
              return;
            }
            over(true);
            controller.close();
          } catch (error) {
            this.close();
            over(false);
            controller.error(error);
          }
        },
        cancel: () => {
          this.close();
          over(false);
        },
      },
      { highWaterMark: 0 },
    );
  }

  #fixed(length: number): () => Promise<Uint8Array | undefined> {
    let left = length;
    return async () => {
      if (left === 0) return undefined;
      // Past what a head's read brought along, large bodies are read into the memory that is handed on.
      const part =
        this.#rest.length > 0 || this.#reading !== undefined
          ? await this.#readCopy(left)
          : await this.#readNew(left);
      if (part === undefined) throw new Error("the connection ended within the answer");
      left -= part.length;
      return part;
    };
  }

  #chunked(): () => Promise<Uint8Array | undefined> {
    const reader = new ChunkReader();
    return async () => {
      while (!reader.ended) {
        const bytes = this.#rest.length > 0 ? this.#rest : await this.#read();
        if (bytes === undefined) throw new Error("the connection ended within the answer");
        const { data, taken } = reader.read(bytes);
        const part = data.length === 1 ? data[0]?.slice() : joinedAll(data);
        this.#rest = bytes.subarray(taken);
        if (part !== undefined && part.length > 0) return part;
      }
      return undefined;
    };
  }

  #untilClose(): () => Promise<Uint8Array | undefined> {
    return () => this.#readCopy(Number.POSITIVE_INFINITY);
  }

  async #readCopy(bytesMax: number): Promise<Uint8Array | undefined> {
    const bytes = this.#rest.length > 0 ? this.#rest : await this.#read();
    if (bytes === undefined) return undefined;
    const part = bytes.slice(0, bytesMax);
    this.#rest = bytes.subarray(part.length);
    return part;
  }

  async #readNew(bytesMax: number): Promise<Uint8Array | undefined> {
    const into = new Uint8Array(Math.min(bytesMax, READ_LARGE_BYTES));
    const read = await this.#socket.read(into);
    return read === null || read === 0 ? undefined : into.subarray(0, read);
  }

  /** What comes next, in the buffer; undefined at the end. Whatever was there before must have been used. */
  async #read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const reading = this.#reading ?? this.#socket.read(this.#buffer);
    this.#reading = undefined;
    const read = await reading;
    return read === null || read === 0 ? undefined : this.#buffer.subarray(0, read);
  }

  #end(reusable: boolean): void {
    // More than the answer, or an answer before all was sent: nobody can say what the next bytes mean.
    if (!reusable || this.#rest.length > 0) {
      this.close();
      return;
    }
    if (this.#sent) {
      this.#rested();
      return;
    }
    // What was sent may not have been told yet.
    queueMicrotask(() => {
      if (this.#sent) this.#rested();
      else this.close();
    });
  }

  #rested(): void {
    if (this.closed) return;
    this.#wait();
    this.#free(this);
  }

  /** Anything that comes while nothing was asked for ends the connection. */
  #wait(): void {
    const reading = this.#socket.read(this.#buffer);
    this.#reading = reading;
    this.#resting = true;
    reading.then(this.#unasked, this.#unasked);
  }

  readonly #unasked = (): void => {
    if (this.#resting) this.close();
  };

  /** The waiting read belongs to the request from here on. */
  take(): void {
    this.#resting = false;
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  return joinedAll([a, b]);
}

function joinedAll(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((bytes, part) => bytes + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
