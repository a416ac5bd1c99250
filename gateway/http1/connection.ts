import { limits } from "../../shared/limits.ts";
import type { UpstreamAnswer, UpstreamRequest } from "../proxy/upstream.ts";
import { ChunkReader } from "./chunks.ts";
import { type Head, ProtocolError, fromLatin1, headEnd, parseHead, toLatin1 } from "./head.ts";

/** A byte stream, as a runtime gives it. */
export interface Socket {
  /** Bytes read, or null at the end. */
  read: (into: Uint8Array) => Promise<number | null>;
  write: (bytes: Uint8Array) => Promise<number>;
  close: () => void;
}

const WRITE_TOGETHER_BYTES = 64 * 1024;
const READ_BYTES = 16 * 1024;
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
    const { signal } = request;
    const abort = (): void => this.close();
    signal.addEventListener("abort", abort, { once: true });
    const done = (): void => signal.removeEventListener("abort", abort);
    try {
      const sending = this.#write(request);
      const head = await this.#head(request.method, sending);
      const body = this.#body(head, sending, done);
      return { status: head.status, fields: head.fields, body };
    } catch (error) {
      this.close();
      done();
      signal.throwIfAborted();
      throw error;
    }
  }

  /** The head and a small body at once; a stream goes on by itself. @returns whether everything was sent */
  async #write({ method, path, fields, body }: UpstreamRequest): Promise<boolean> {
    let text = `${method} ${path} HTTP/1.1\r\nhost: ${this.#host}\r\n`;
    let declared: number | undefined;
    for (const [name, value] of fields) {
      if (name === "content-length") {
        declared = Number(value);
      } else {
        if (value.includes("\n") || value.includes("\r")) throw new ProtocolError("a broken header");
        text += `${name}: ${value}\r\n`;
      }
    }
    if (body === null) {
      const mayHave = method === "POST" || method === "PUT" || method === "PATCH";
      await this.#writeAll(toLatin1(`${text}${mayHave ? "content-length: 0\r\n" : ""}\r\n`));
      return true;
    }
    if (body instanceof Uint8Array) {
      const head = toLatin1(`${text}content-length: ${body.length}\r\n\r\n`);
      if (body.length > WRITE_TOGETHER_BYTES) {
        await this.#writeAll(head);
        await this.#writeAll(body);
      } else {
        const together = new Uint8Array(head.length + body.length);
        together.set(head);
        together.set(body, head.length);
        await this.#writeAll(together);
      }
      return true;
    }
    const framing = declared === undefined ? "transfer-encoding: chunked" : `content-length: ${declared}`;
    await this.#writeAll(toLatin1(`${text}${framing}\r\n\r\n`));
    await this.#writeStream(body, declared);
    return true;
  }

  /** Never more or less than was declared: what follows on the connection would be read as another request. */
  async #writeStream(body: ReadableStream<Uint8Array>, declared: number | undefined): Promise<void> {
    let bytes = 0;
    try {
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

  async #writeAll(bytes: Uint8Array): Promise<void> {
    let left = bytes;
    while (left.length > 0) left = left.subarray(await this.#socket.write(left));
  }

  /** The answer's head; interim answers (100, 103) are passed over. */
  async #head(method: string, sending: Promise<boolean>): Promise<Head> {
    // An error of sending is why there is no answer: it is the one to tell, unless an answer came all the same.
    let sendError: unknown;
    sending.catch((error: unknown) => {
      sendError = error;
      this.close();
    });
    for (let interim = 0; interim < 8; interim++) {
      const end = await this.#untilHead().catch((error: unknown) => {
        throw sendError ?? error;
      });
      const head = parseHead(fromLatin1(this.#rest.subarray(0, end - 4)), method);
      this.#rest = this.#rest.subarray(end);
      if (head.status >= 200) return head;
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
      const before = this.#rest.slice();
      const more = await this.#read();
      if (more === undefined) throw new Error("the connection ended before the answer");
      this.#rest = seen === 0 ? more : joined(before, more);
    }
  }

  #body(head: Head, sending: Promise<boolean>, done: () => void): UpstreamAnswer["body"] {
    const over = (reusable: boolean): void => {
      done();
      this.#end(reusable && head.persistent, sending);
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
      return this.#stream(this.#fixed(length), over);
    }
    return this.#stream(length === "chunked" ? this.#chunked() : this.#untilClose(), over);
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

  #end(reusable: boolean, sending: Promise<boolean>): void {
    // More than the answer, or an answer before all was sent: nobody can say what the next bytes mean.
    if (!reusable || this.#rest.length > 0) {
      this.close();
      return;
    }
    let sent = false;
    sending.then(
      () => (sent = true),
      () => undefined,
    );
    queueMicrotask(() => {
      if (!sent) this.close();
      if (this.closed) return;
      this.#wait();
      this.#free(this);
    });
  }

  /** Anything that comes while nothing was asked for ends the connection. */
  #wait(): void {
    const reading = this.#socket.read(this.#buffer);
    this.#reading = reading;
    const unasked = (): void => {
      if (this.#reading === reading) this.close();
    };
    reading.then(unasked, unasked);
  }

  /** The waiting read belongs to the request from here on. */
  take(): void {
    const reading = this.#reading;
    if (reading === undefined) return;
    // Another promise of the same read, so that what `#wait` compares is no longer it.
    this.#reading = reading.then((read) => read);
    // Whether anybody still reads it or not.
    this.#reading.catch(() => undefined);
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
