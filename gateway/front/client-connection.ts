import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { ProtocolError } from "../http1/fields.ts";
import { fromLatin1, toLatin1, withHead } from "../http1/head.ts";
import { type RequestHead, parseRequestHead } from "../http1/request-head.ts";
import { problem } from "../pages/problem.ts";
import { Answer } from "../proxy/answer.ts";
import type { Socket, Tunnel } from "../proxy/upstream.ts";
import { type Asked, type Framing, answerHead, declaredLength, framingFor } from "./answer-head.ts";
import { IncomingRequest } from "./incoming-request.ts";
import { Input } from "./input.ts";
import { RequestBody } from "./request-body.ts";

/** What a front does with a request. Must not throw. */
export type Handle = (request: IncomingRequest, address: string) => Promise<Answer | Response>;

export interface ClientOptions {
  handle: Handle;
  /** How long a client may let us wait for a head's end, or for taking our bytes, beside what they earn. */
  clientWaitMs: number;
}

const WRITE_TOGETHER_BYTES = 64 * 1024;
const CONTINUE = toLatin1("HTTP/1.1 100 Continue\r\n\r\n");
const LAST_CHUNK = toLatin1("0\r\n\r\n");
const LINE_END = toLatin1("\r\n");

/**
 * One HTTP/1.1 connection of a client: its requests one after another, each answered before the next one is read. Every time that it
 * may take is a moment in `dueAtMs`, which the front looks at: no request has a timer of its own.
 */
export class ClientConnection {
  /** When the connection ends if nothing happens until then. */
  dueAtMs = Number.POSITIVE_INFINITY;
  readonly #socket: Socket;
  readonly #address: string;
  readonly #options: ClientOptions;
  readonly #input: Input;
  #request: IncomingRequest | undefined;
  /** Ends the answer that is being sent. */
  #drop: (() => void) | undefined;
  #requests = 0;
  #idle = true;
  #ending = false;
  #closed = false;

  constructor(socket: Socket, address: string, options: ClientOptions) {
    this.#socket = socket;
    this.#address = address;
    this.#options = options;
    this.#input = new Input(socket, () => this.#leave());
  }

  /** Until the connection has ended. */
  async serve(): Promise<void> {
    try {
      while (await this.#serveOne());
    } catch {
      // A connection that breaks is its client's, who is told by that.
    } finally {
      this.close();
    }
  }

  /** Ends it at once, and whatever is done for it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#leave();
    this.#socket.close();
  }

  /** Takes no other request: closes now, or with the answer that is under way. */
  end(): void {
    this.#ending = true;
    if (this.#idle) this.close();
  }

  get #headMsMax(): number {
    return Math.min(limits.clientHeadMsMax, this.#options.clientWaitMs);
  }

  #leave(): void {
    this.#request?.leave();
    this.#drop?.();
  }

  /** @returns whether another one may come */
  async #serveOne(): Promise<boolean> {
    const fresh = this.#requests === 0 || this.#input.waiting;
    this.dueAtMs = performance.now() + (fresh ? this.#headMsMax : limits.clientIdleMsMax);
    let head: RequestHead;
    try {
      const bytes = await this.#input.head(limits.clientHeadBytesMax, this.#begun);
      if (bytes === undefined) return false;
      head = parseRequestHead(fromLatin1(bytes.subarray(0, -4)));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return this.#refuse(error);
    }
    this.#idle = false;
    this.#requests += 1;
    this.dueAtMs = Number.POSITIVE_INFINITY;
    const body =
      head.length === 0 ? undefined : new RequestBody(this.#input, head, () => this.#write(CONTINUE));
    if (body === undefined) this.#input.watch();
    const request = new IncomingRequest(head, body?.stream ?? null);
    this.#request = request;
    const given = await this.#options.handle(request, this.#address);
    const answer = given instanceof Response ? Answer.of(given) : given;
    this.#request = undefined;
    if (answer.tunnel !== undefined) {
      await this.#tunnel(answer, answer.tunnel);
      return false;
    }
    // What is left of a body that nobody wanted would be read as the next request.
    const whole = body === undefined || body.ended;
    const keep = head.persistent && whole && !this.#ending && !this.#input.ended;
    const kept = this.#answer(answer, head, keep);
    if (typeof kept === "boolean" ? kept : await kept) {
      this.#idle = true;
      return !this.#ending;
    }
    await this.#linger();
    return false;
  }

  /** The first bytes of a head are there: the rest has to follow soon. */
  readonly #begun = (): void => {
    if (!this.#idle) return;
    this.#idle = false;
    this.dueAtMs = performance.now() + this.#headMsMax;
  };

  /** @returns false */
  async #refuse(cause: ProtocolError): Promise<boolean> {
    this.#idle = false;
    const large = cause.message === "a head that is too large";
    const error = large
      ? new UserError("too_large", "Cannot take this request: its head is too large", { cause })
      : new UserError("invalid_request", `Cannot read this request: ${cause.message}`, { cause });
    const asked = { method: "GET", modern: true, headers: new Headers() };
    await this.#answer(Answer.of(await problem(asked, error)), asked, false);
    await this.#linger();
    return false;
  }

  /** @returns whether the connection is good for another request; at once when the system took all of the answer at once */
  #answer(answer: Answer, asked: Asked, keep: boolean): boolean | Promise<boolean> {
    const { body } = answer;
    const declared = declaredLength(answer);
    const framing = framingFor(answer, declared, asked);
    const kept = keep && framing !== "close";
    const head = answerHead(answer, framing, declared, kept);
    const sending = this.#send(head, body, framing, declared);
    return sending === undefined ? kept : sending.then(() => kept);
  }

  #send(
    head: string,
    body: Answer["body"],
    framing: Framing,
    declared: number | undefined,
  ): Promise<void> | undefined {
    if (framing === "none" || body === null) {
      if (body instanceof ReadableStream) void body.cancel().catch(() => undefined);
      return this.#write(toLatin1(head));
    }
    if (body instanceof ReadableStream) return this.#stream(head, body, framing === "chunked", declared);
    if (body.length <= WRITE_TOGETHER_BYTES) return this.#write(withHead(head, body));
    return this.#writeBoth(toLatin1(head), body);
  }

  async #writeBoth(head: Uint8Array, body: Uint8Array): Promise<void> {
    await this.#write(head);
    await this.#write(body);
  }

  /** A stream that breaks, or is not as long as it was said to be, breaks the connection: nothing else tells the client. */
  async #stream(
    head: string,
    body: ReadableStream<Uint8Array>,
    chunked: boolean,
    declared: number | undefined,
  ): Promise<void> {
    const reader = body.getReader();
    this.#drop = () => void reader.cancel().catch(() => undefined);
    try {
      if (this.#input.ended) throw new Error("the client has left");
      await this.#write(toLatin1(head));
      let left = declared ?? Number.POSITIVE_INFINITY;
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        if (value.length === 0) continue;
        left -= value.length;
        if (left < 0) throw new ProtocolError("a body longer than it says");
        await (chunked ? this.#writeChunk(value) : this.#write(value));
      }
      // A cancelled read says that it is done.
      if (this.#input.ended || this.#closed) throw new Error("the client has left");
      if (left > 0 && declared !== undefined) throw new ProtocolError("a body shorter than it says");
      if (chunked) await this.#write(LAST_CHUNK);
    } catch (error) {
      this.#drop();
      throw error;
    } finally {
      this.#drop = undefined;
    }
  }

  async #writeChunk(part: Uint8Array): Promise<void> {
    const size = `${part.length.toString(16)}\r\n`;
    if (part.length > WRITE_TOGETHER_BYTES) {
      await this.#write(toLatin1(size));
      await this.#write(part);
      await this.#write(LINE_END);
      return;
    }
    const all = new Uint8Array(size.length + part.length + 2);
    all.set(toLatin1(size));
    all.set(part, size.length);
    all.set(LINE_END, size.length + part.length);
    await this.#write(all);
  }

  /** Bytes both ways, whatever they are, until either side ends. */
  async #tunnel(answer: Answer, { socket, early }: Tunnel): Promise<void> {
    this.#drop = () => socket.close();
    try {
      await this.#write(toLatin1(answerHead(answer, "none", undefined, true)));
      if (early.length > 0) await this.#write(early);
      await Promise.race([this.#fromClient(socket), this.#toClient(socket)]);
    } finally {
      this.#drop = undefined;
      socket.close();
    }
  }

  async #fromClient(socket: Socket): Promise<void> {
    for (;;) {
      const part = await this.#input.part(TUNNEL_BYTES);
      if (part === undefined) return;
      for (let left: Uint8Array = part; left.length > 0;) left = left.subarray(await socket.write(left));
    }
  }

  async #toClient(socket: Socket): Promise<void> {
    const buffer = new Uint8Array(TUNNEL_BYTES);
    for (;;) {
      const read = await socket.read(buffer);
      if (read === null || read === 0) return;
      await this.#write(buffer.subarray(0, read));
    }
  }

  /** @returns undefined when the system took all of it at once */
  #write(bytes: Uint8Array): Promise<void> | undefined {
    const written = this.#socket.write(bytes);
    if (written === bytes.length) return undefined;
    return this.#writeRest(bytes, written);
  }

  async #writeRest(bytes: Uint8Array, first: number | Promise<number>): Promise<void> {
    const earnedMs = (bytes.length / limits.readerBytesPerSecondMin) * 1000;
    this.dueAtMs = performance.now() + this.#options.clientWaitMs + earnedMs;
    let left = bytes.subarray(await first);
    while (left.length > 0) left = left.subarray(await this.#socket.write(left));
    this.dueAtMs = Number.POSITIVE_INFINITY;
  }

  /**
   * Closing while the client still sends would throw away what it has not read of the answer, so its bytes are dropped until it
   * stops, for a moment.
   */
  async #linger(): Promise<void> {
    if (this.#closed) return;
    this.dueAtMs = performance.now() + limits.clientLingerMs;
    await this.#socket.closeWrite?.();
    await this.#input.drain();
  }
}

const TUNNEL_BYTES = 16 * 1024;
