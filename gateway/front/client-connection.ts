import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { ProtocolError } from "../http1/fields.ts";
import { toLatin1 } from "../http1/head.ts";
import { type RequestHead, RequestHeads } from "../http1/request-head.ts";
import { outgoing } from "../http1/outgoing.ts";
import { sendByWrite } from "../http1/send-by-write.ts";
import { problem } from "../pages/problem.ts";
import { Answer } from "../proxy/answer.ts";
import type { Client } from "../proxy/exchange.ts";
import type { Socket, Tunnel } from "../proxy/upstream.ts";
import { type Framing, declaredLength, framingFor, putAnswerHead } from "./answer-head.ts";
import { IncomingRequest } from "./incoming-request.ts";
import { type HeadReader, Input } from "./input.ts";
import { RequestBody } from "./request-body.ts";

/** What a front does with a request: it replies once, then or later. Must not throw. */
export type Handle = (request: IncomingRequest, client: Client, reply: Reply) => void;

/** Bytes in the answer's body are used until this returns. */
export type Reply = (answer: Answer | Response) => void;

/** For who answers later, and never fails. */
export function handleBy(
  answer: (request: IncomingRequest, client: Client) => Promise<Answer | Response>,
): Handle {
  return (request, client, reply) => void answer(request, client).then(reply);
}

export interface ClientOptions {
  handle: Handle;
  /** How long a client may let us wait for a head's end, or for taking our bytes, beside what they earn. */
  clientWaitMs: number;
}

const PIECE_BYTES = 64 * 1024;
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
  readonly #client: Client;
  readonly #options: ClientOptions;
  readonly #input: Input;
  readonly #heads = new RequestHeads();
  readonly #over = Promise.withResolvers<void>();
  #head: RequestHead | undefined;
  #request: IncomingRequest | undefined;
  #body: RequestBody | undefined;
  /** Ends the answer that is being sent. */
  #drop: (() => void) | undefined;
  #requests = 0;
  #idle = true;
  #ending = false;
  #closed = false;

  constructor(socket: Socket, address: string, options: ClientOptions) {
    this.#socket = socket;
    this.#client = { address, protocol: "http" };
    this.#options = options;
    this.#input = new Input(socket, () => this.#leave());
  }

  /** Until the connection has ended. */
  serve(): Promise<void> {
    this.#next();
    return this.#over.promise;
  }

  /** Ends it at once, and whatever is done for it. */
  readonly close = (): void => {
    if (this.#closed) return;
    this.#closed = true;
    this.#leave();
    this.#socket.close();
    this.#over.resolve();
  };

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

  /** Waits for a request. */
  #next(): void {
    const fresh = this.#requests === 0 || this.#input.waiting;
    this.dueAtMs = performance.now() + (fresh ? this.#headMsMax : limits.clientIdleMsMax);
    this.#input.head(limits.clientHeadBytesMax, this.#reader);
  }

  readonly #reader: HeadReader = {
    // The rest has to follow soon.
    begun: () => {
      if (!this.#idle) return;
      this.#idle = false;
      this.dueAtMs = performance.now() + this.#headMsMax;
    },
    head: (text) => {
      if (text === undefined) this.close();
      else this.#serve(text);
    },
    failed: (error) => this.#refuse(error),
  };

  #serve(text: string): void {
    let head: RequestHead;
    try {
      head = this.#heads.read(text);
    } catch (error) {
      if (error instanceof ProtocolError) this.#refuse(error);
      else this.close();
      return;
    }
    this.#idle = false;
    this.#requests += 1;
    this.dueAtMs = Number.POSITIVE_INFINITY;
    const { length } = head;
    const whole = length === 0 || length === "chunked" ? undefined : this.#input.whole(length);
    this.#body =
      length === 0 || whole !== undefined
        ? undefined
        : new RequestBody(this.#input, head, () => this.#sendContinue());
    if (this.#body === undefined) this.#input.watch();
    this.#head = head;
    this.#request = new IncomingRequest(head, whole ?? this.#body);
    this.#options.handle(this.#request, this.#client, this.#reply);
  }

  readonly #reply: Reply = (given) => {
    const head = this.#head;
    if (head === undefined) return;
    this.#head = undefined;
    this.#request = undefined;
    try {
      const answer = given instanceof Response ? Answer.of(given) : given;
      if (answer.tunnel !== undefined) {
        this.#tunnel(answer, answer.tunnel).then(this.close, this.close);
        return;
      }
      // What is left of a body that nobody wanted would be read as the next request.
      const whole = this.#body === undefined || this.#body.ended;
      const keep = head.persistent && whole && !this.#ending && !this.#input.ended;
      const framing = framingFor(answer, head);
      const kept = keep && framing !== "close";
      const sending = this.#send(answer, framing, kept);
      if (sending === undefined) this.#answered(kept);
      else sending.then(() => this.#answered(kept)).catch(this.close);
    } catch {
      // A connection that breaks is its client's, who is told by that.
      this.close();
    }
  };

  #answered(kept: boolean): void {
    if (this.#closed) return;
    if (kept && !this.#ending) {
      this.#idle = true;
      this.#next();
    } else void this.#finish(kept).then(this.close, this.close);
  }

  /** No other request comes after this. */
  async #finish(kept: boolean): Promise<void> {
    await this.#within(this.#socket.flushed?.(), limits.sendTogetherBytesMax);
    if (!kept) await this.#linger();
  }

  #refuse(cause: ProtocolError): void {
    this.#idle = false;
    const large = cause.message === "a head that is too large";
    const error = large
      ? new UserError("too_large", "Cannot take this request: its head is too large", { cause })
      : new UserError("invalid_request", `Cannot read this request: ${cause.message}`, { cause });
    const asked = { method: "GET", modern: true, headers: new Headers() };
    const refuse = async (): Promise<void> => {
      const answer = Answer.of(await problem(asked, error));
      await this.#send(answer, framingFor(answer, asked), false);
      await this.#finish(false);
    };
    refuse().then(this.close, this.close);
  }

  /** @returns undefined when the system took all of the answer at once */
  #send(answer: Answer, framing: Framing, kept: boolean): Promise<void> | undefined {
    const { body } = answer;
    if (body instanceof ReadableStream) {
      if (framing !== "none") return this.#stream(answer, body, framing, kept);
      void body.cancel().catch(() => undefined);
    }
    const head = putAnswerHead(outgoing.begin(), answer, framing, kept);
    const bytes = framing === "none" || body instanceof ReadableStream ? null : body;
    const length = head.length + (bytes?.length ?? 0);
    return this.#within(this.#socket.send(head, bytes), length);
  }

  #sendContinue(): Promise<void> | undefined {
    const head = outgoing.begin();
    head.put(CONTINUE);
    return this.#socket.send(head, null);
  }

  /** A stream that breaks, or is not as long as it was said to be, breaks the connection: nothing else tells the client. */
  async #stream(
    answer: Answer,
    body: ReadableStream<Uint8Array>,
    framing: Framing,
    kept: boolean,
  ): Promise<void> {
    const declared = declaredLength(answer);
    const reader = body.getReader();
    this.#drop = () => void reader.cancel().catch(() => undefined);
    try {
      if (this.#input.ended) throw new Error("the client has left");
      const head = putAnswerHead(outgoing.begin(), answer, framing, kept);
      const { length } = head;
      await this.#within(this.#socket.send(head, null), length);
      let left = declared ?? Number.POSITIVE_INFINITY;
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        if (value.length === 0) continue;
        left -= value.length;
        if (left < 0) throw new ProtocolError("a body longer than it says");
        // In pieces, each of which has to be taken in its time.
        for (let at = 0; at < value.length; at += PIECE_BYTES) {
          const piece = value.subarray(at, at + PIECE_BYTES);
          await (framing === "chunked" ? this.#writeChunk(piece) : this.#write(piece));
        }
      }
      // A cancelled read says that it is done.
      if (this.#input.ended || this.#closed) throw new Error("the client has left");
      if (left > 0 && declared !== undefined) throw new ProtocolError("a body shorter than it says");
      if (framing === "chunked") await this.#write(LAST_CHUNK);
    } catch (error) {
      this.#drop();
      throw error;
    } finally {
      this.#drop = undefined;
    }
  }

  async #writeChunk(part: Uint8Array): Promise<void> {
    const size = `${part.length.toString(16)}\r\n`;
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
      await this.#socket.send(putAnswerHead(outgoing.begin(), answer, "none", true), null);
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
    return this.#within(this.#writeRest(bytes, written), bytes.length);
  }

  async #writeRest(bytes: Uint8Array, first: number | Promise<number>): Promise<void> {
    await sendByWrite(this.#socket, bytes.subarray(await first));
  }

  /** What the system does not take at once, the client has to take in time. */
  #within(sending: Promise<void> | undefined, bytes: number): Promise<void> | undefined {
    if (sending === undefined) return undefined;
    const earnedMs = (bytes / limits.readerBytesPerSecondMin) * 1000;
    this.dueAtMs = performance.now() + this.#options.clientWaitMs + earnedMs;
    return sending.then(this.#taken);
  }

  readonly #taken = (): void => {
    this.dueAtMs = Number.POSITIVE_INFINITY;
  };

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
