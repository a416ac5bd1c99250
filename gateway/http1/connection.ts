import { limits } from "../../shared/limits.ts";
import { lengthLine, linesOf } from "../proxy/lines.ts";
import { type Told, tellOf } from "../proxy/told.ts";
import type { Socket, UpstreamAnswer, UpstreamRequest } from "../proxy/upstream.ts";
import { ChunkReader } from "./chunks.ts";
import { ProtocolError } from "./fields.ts";
import { type Head, beginsWith, fromLatin1, headEnd, parseHead, toLatin1 } from "./head.ts";
import { outgoing } from "./outgoing.ts";

const READ_LARGE_BYTES = 256 * 1024;
const INTERIM_MAX = 8;
const EMPTY: Uint8Array<ArrayBuffer> = new Uint8Array();
const NO_HEAD: Head = { status: 0, fields: [], length: 0, persistent: false };
const UPGRADE = toLatin1("connection: upgrade\r\nupgrade: websocket\r\n");
const LINE_END = toLatin1("\r\n");

/**
 * One HTTP/1.1 connection to a worker, one request at a time. A read is always waiting while it is idle, so that the worker's end of it is
 * seen at once and a request does not meet a dead connection. A request whose answer comes in one piece makes no promise.
 */
export class Connection {
  readonly #socket: Socket;
  /** What is behind the path. */
  readonly #host: Uint8Array;
  /** Told when a request and its answer are over and the connection is good for another. */
  readonly #free: (connection: Connection) => void;
  /** Read but not used. */
  #rest: Uint8Array<ArrayBuffer> = EMPTY;
  /** What is asked, until its answer's head is there. */
  #request: UpstreamRequest | undefined;
  #told: Told<UpstreamAnswer> = NOBODY;
  #interim = 0;
  /** The last answer's head, and what it was of. */
  #lastBytes = EMPTY;
  #lastHead = NO_HEAD;
  #lastMethod = "";
  /** `#came` is told of what comes next. */
  #receiving = false;
  /** What came last is being looked at, and must not be overwritten: what comes next is asked for afterwards. */
  #looking = false;
  #wanted = false;
  #sent = true;
  #sendError: unknown;
  closed = false;
  idleSinceMs = 0;

  constructor(socket: Socket, host: string, free: (connection: Connection) => void) {
    this.#socket = socket;
    this.#host = toLatin1(` HTTP/1.1\r\nhost: ${host}\r\n`);
    this.#free = free;
  }

  readonly close = (): void => {
    if (this.closed) return;
    this.closed = true;
    this.#socket.close();
  };

  send(request: UpstreamRequest, told: Told<UpstreamAnswer>): void {
    const { stop } = request;
    this.#request = request;
    this.#told = told;
    this.#interim = 0;
    this.#sent = false;
    this.#sendError = undefined;
    try {
      stop.throwIfStopped();
      stop.tell(this.close);
      const sending = this.#write(request);
      if (sending === undefined) this.#sent = true;
      else sending.then(this.#whenSent, this.#whenUnsent);
    } catch (error) {
      this.#fail(request, error);
      return;
    }
    this.#receive();
  }

  #receive(): void {
    if (this.#looking) this.#wanted = true;
    else if (!this.#receiving) {
      this.#receiving = true;
      this.#socket.receive(this.#came);
    }
  }

  readonly #came = (bytes: Uint8Array<ArrayBuffer> | null): void => {
    this.#receiving = false;
    const request = this.#request;
    // Whatever comes while nothing was asked for ends the connection, as its end does.
    if (request === undefined) {
      this.close();
      return;
    }
    if (bytes === null) {
      this.#fail(request, new Error("the connection ended before the answer"));
      return;
    }
    this.#looking = true;
    const seen = this.#rest.length;
    try {
      this.#look(request, seen === 0 ? bytes : joined(this.#rest, bytes), seen);
    } catch (error) {
      this.#fail(request, error);
    }
    this.#looking = false;
    if (!this.#wanted) return;
    this.#wanted = false;
    this.#receive();
  };

  #fail({ stop }: UpstreamRequest, error: unknown): void {
    const told = this.#told;
    this.#request = undefined;
    this.close();
    stop.tell(undefined);
    told.failed(stop.reason ?? this.#sendError ?? error);
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
  #write(request: UpstreamRequest): Promise<void> | undefined {
    const { method, path, fields, body } = request;
    const { bytes, declared } = linesOf(fields);
    const head = outgoing.begin();
    head.text(method);
    head.text(" ");
    head.text(path);
    head.put(this.#host);
    if (request.socket === true) head.put(UPGRADE);
    head.put(bytes);
    if (request.putLines !== undefined) request.putLines(head);
    else head.text(request.lines ?? "");
    if (body === null) {
      if (method === "POST" || method === "PUT" || method === "PATCH") head.text(lengthLine(0));
      head.put(LINE_END);
      return this.#socket.send(head, null);
    }
    const length = body instanceof Uint8Array ? body.length : declared;
    head.text(length === undefined ? "transfer-encoding: chunked\r\n" : lengthLine(length));
    head.put(LINE_END);
    if (body instanceof Uint8Array) return this.#socket.send(head, body);
    return this.#writeStream(head.copy(null), body, declared);
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

  /**
   * Looks for the answer's head; interim answers (100, 103) are passed over.
   *
   * @param bytes there only for now
   * @param seen so many of them were looked at before
   * @throws ProtocolError
   */
  #look(request: UpstreamRequest, bytes: Uint8Array<ArrayBuffer>, seen: number): void {
    if (request.method === this.#lastMethod && beginsWith(bytes, this.#lastBytes)) {
      this.#request = undefined;
      this.#rest = EMPTY;
      this.#answer(request, this.#lastHead, bytes, this.#lastBytes.length);
      return;
    }
    let at = 0;
    for (let from = Math.max(0, seen - 3); ; from = at) {
      const end = headEnd(bytes, from);
      if (end < 0) break;
      const head = parseHead(fromLatin1(bytes.subarray(at, end - 4)), request.method);
      at = end;
      if (head.status >= 200 || (head.status === 101 && request.socket === true)) {
        if (head.status >= 200) this.#keep(request, head, bytes, end);
        this.#request = undefined;
        this.#rest = EMPTY;
        this.#answer(request, head, bytes, at);
        return;
      }
      if (head.status === 101) throw new ProtocolError("an upgrade that nobody asked for");
      this.#interim += 1;
      if (this.#interim >= INTERIM_MAX) throw new ProtocolError("too many interim answers");
    }
    if (bytes.length - at > limits.upstreamHeadBytesMax) throw new ProtocolError("a head that is too large");
    this.#rest = bytes.slice(at);
    this.#receive();
  }

  /** For the next answer, which may begin with the same. */
  #keep({ method }: UpstreamRequest, head: Head, bytes: Uint8Array<ArrayBuffer>, end: number): void {
    if (end > limits.headComparedBytesMax) return;
    this.#lastBytes = bytes.slice(0, end);
    this.#lastHead = head;
    this.#lastMethod = method;
  }

  /**
   * A small body is read before it is handed on, which costs everybody less than a stream.
   *
   * @param at where the head ends in these bytes
   */
  #answer(request: UpstreamRequest, head: Head, bytes: Uint8Array<ArrayBuffer>, at: number): void {
    const { status, fields, length, persistent } = head;
    const told = this.#told;
    if (status === 101) {
      request.stop.tell(undefined);
      const tunnel = { socket: this.#given(), early: bytes.slice(at) };
      told.done({ status, fields, body: null, tunnel });
      return;
    }
    const there = bytes.length - at;
    if (typeof length === "number" && length <= there) {
      // More than the answer: nobody can say what the next bytes mean.
      this.#over(request, persistent && length === there);
      const body = length === 0 ? null : bytes.subarray(at, at + length);
      told.done({ status, fields, body, tunnel: undefined });
      return;
    }
    this.#answerLater(request, head, bytes.slice(at));
  }

  /** @param begun what is there of the body */
  #answerLater(request: UpstreamRequest, head: Head, begun: Uint8Array<ArrayBuffer>): void {
    const { status, fields, length, persistent } = head;
    const told = this.#told;
    const over = (whole: boolean): void => this.#over(request, whole && persistent);
    const answered = (body: UpstreamAnswer["body"]): void =>
      told.done({ status, fields, body, tunnel: undefined });
    this.#rest = begun;
    if (typeof length !== "number") {
      answered(this.#stream(length === "chunked" ? this.#chunked() : this.#untilClose(), over));
    } else if (length > limits.upstreamBodyTogetherBytesMax) {
      answered(this.#stream(this.#fixed(length), over));
    } else {
      const failed = (error: unknown): void => this.#fail(request, error);
      tellOf(this.#together(length), {
        done: (body) => {
          over(true);
          answered(body);
        },
        failed,
      });
    }
  }

  /** From here on the connection is whoever's who asked for it. */
  #given(): Socket {
    const socket = this.#socket;
    return {
      read: (into) => socket.read(into),
      receive: (told) => socket.receive(told),
      write: (bytes) => socket.write(bytes),
      send: (head, body) => socket.send(head, body),
      // Of both ends either may be the first, and a second time is an error of some runtimes.
      close: this.close,
    };
  }

  async #together(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length);
    bytes.set(this.#rest);
    let filled = this.#rest.length;
    this.#rest = EMPTY;
    while (filled < length) {
      const read = await this.#socket.read(bytes.subarray(filled));
      if (read === null || read === 0) throw new Error("the connection ended within the answer");
      filled += read;
    }
    return bytes;
  }

  /** The stream of what `next` gives; undefined is the end. */
  #stream(
    next: () => Promise<Uint8Array | undefined>,
    over: (whole: boolean) => void,
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
            over(this.#rest.length === 0);
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
      const part = this.#rest.length > 0 ? this.#restUpTo(left) : await this.#readNew(left);
      if (part === undefined) throw new Error("the connection ended within the answer");
      left -= part.length;
      return part;
    };
  }

  #chunked(): () => Promise<Uint8Array | undefined> {
    const reader = new ChunkReader();
    return async () => {
      while (!reader.ended) {
        const bytes = this.#rest.length > 0 ? this.#rest : await this.#next();
        if (bytes === undefined) throw new Error("the connection ended within the answer");
        const { data, taken } = reader.read(bytes);
        const part = data.length === 1 ? data[0] : joinedAll(data);
        this.#rest = bytes.subarray(taken);
        if (part !== undefined && part.length > 0) return part;
      }
      return undefined;
    };
  }

  #untilClose(): () => Promise<Uint8Array | undefined> {
    return async () => {
      const part = this.#restUpTo(Number.POSITIVE_INFINITY);
      return part.length > 0 ? part : this.#next();
    };
  }

  #restUpTo(bytesMax: number): Uint8Array {
    const part = this.#rest.subarray(0, bytesMax);
    this.#rest = this.#rest.subarray(part.length);
    return part;
  }

  async #readNew(bytesMax: number): Promise<Uint8Array | undefined> {
    const into = new Uint8Array(Math.min(bytesMax, READ_LARGE_BYTES));
    const read = await this.#socket.read(into);
    return read === null || read === 0 ? undefined : into.subarray(0, read);
  }

  /** What comes next, in memory of its own; undefined at the end. */
  #next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return new Promise((resolve) => {
      this.#socket.receive((bytes) => resolve(bytes === null ? undefined : bytes.slice()));
    });
  }

  /** @param reusable exactly one answer came, and its worker goes on */
  #over({ stop }: UpstreamRequest, reusable: boolean): void {
    stop.tell(undefined);
    if (!reusable) this.close();
    else if (this.#allSent) this.#rested();
    else {
      // An answer before all was sent ends the connection; but what was sent may not have been told yet.
      setTimeout(() => {
        if (this.#allSent) this.#rested();
        else this.close();
      }, 0);
    }
  }

  get #allSent(): boolean {
    return this.#sent && this.#socket.unsent !== true;
  }

  #rested(): void {
    if (this.closed) return;
    this.#free(this);
    this.#receive();
  }
}

const NOBODY: Told<UpstreamAnswer> = { done: () => undefined, failed: () => undefined };

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
