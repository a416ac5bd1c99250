import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Incoming } from "./incoming.ts";

/**
 * A request body that can be sent again. Small ones of known length are read at once; larger ones stream and can be sent only
 * once, so the caller makes sure of the route before it starts.
 */
export interface ReplayableBody {
  readonly again: boolean;
  take(): Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null;
  /** Why the client's side of a streamed body failed: then it was not the worker that broke. */
  readonly trouble?: UserError | undefined;
}

/** A WebSocket's handshake: nothing to send, but not to be sent twice either. */
export const NO_BODY_ONCE: ReplayableBody = { again: false, take: () => null };

/** No body at all. */
export const NO_BODY: ReplayableBody = { again: true, take: () => null };

/** At once where nothing has to be read. @throws UserError `too_large`, `client_too_slow`, `invalid_body` */
export function replayableBody(
  request: Incoming,
  bytesMax: number = limits.importBytesMax,
  waitMsMax: number = limits.bodyWaitMsMax,
): ReplayableBody | Promise<ReplayableBody> {
  const { whole } = request;
  if (whole !== undefined) {
    if (whole.length > bytesMax) throw tooLarge(bytesMax);
    return { again: true, take: () => whole };
  }
  const { body } = request;
  return body === null ? NO_BODY : readBody(request, body, bytesMax, waitMsMax);
}

async function readBody(
  request: Incoming,
  body: NonNullable<Incoming["body"]>,
  bytesMax: number,
  waitMsMax: number,
): Promise<ReplayableBody> {
  const length = Number(request.headers.get("content-length") ?? Number.NaN);
  if (length > bytesMax) throw tooLarge(bytesMax);
  const reader = new BodyReader(body.getReader(), bytesMax, waitMsMax);
  request.signal.addEventListener("abort", () => reader.abandon(), { once: true });
  if (Number.isNaN(length)) {
    // Browsers give a DELETE no length, and some runtimes make that a stream of one empty part: it is no body at all, and must not
    // become a chunked one.
    let first = await reader.next();
    while (first?.length === 0) first = await reader.next();
    return first === undefined ? NO_BODY : new StreamedBody(reader, first);
  }
  if (length > limits.holdBodyBytesMax) return new StreamedBody(reader);
  const bytes = new Uint8Array(length);
  let filled = 0;
  for (let part = await reader.next(); part !== undefined; part = await reader.next()) {
    if (filled + part.length > length) throw unreadable();
    bytes.set(part, filled);
    filled += part.length;
  }
  if (filled < length) throw unreadable();
  return { again: true, take: () => bytes };
}

class StreamedBody implements ReplayableBody {
  readonly again = false;
  trouble: UserError | undefined;
  readonly #reader: BodyReader;
  #first: Uint8Array | undefined;

  /** `first`: what was read of it already. */
  constructor(reader: BodyReader, first?: Uint8Array) {
    this.#reader = reader;
    this.#first = first;
  }

  take(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          try {
            const part = this.#first ?? (await this.#reader.next());
            this.#first = undefined;
            if (part === undefined) controller.close();
            else controller.enqueue(part);
          } catch (error) {
            this.trouble = error instanceof UserError ? error : unreadable(error);
            controller.error(error);
          }
        },
        cancel: (reason) => this.#reader.cancel(reason),
      },
      { highWaterMark: 0 },
    );
  }
}

/** Reads a client's body within its bounds of size and of time spent waiting for the client (not for the worker). */
class BodyReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #bytesMax: number;
  readonly #waitMsMax: number;
  #bytes = 0;
  #waitedMs = 0;
  #abandoned = false;

  constructor(reader: ReadableStreamDefaultReader<Uint8Array>, bytesMax: number, waitMsMax: number) {
    this.#reader = reader;
    this.#bytesMax = bytesMax;
    this.#waitMsMax = waitMsMax;
  }

  async next(): Promise<Uint8Array | undefined> {
    const startedMs = performance.now();
    const earnedMs = Math.min((this.#bytes / limits.bodyBytesPerSecondMin) * 1000, limits.bodyEarnedMsMax);
    const slow = Promise.withResolvers<never>();
    const timer = setTimeout(
      () =>
        slow.reject(new UserError("client_too_slow", "Cannot take this request: its body came too slowly")),
      Math.max(0, this.#waitMsMax + earnedMs - this.#waitedMs),
    );
    try {
      const { done, value } = await Promise.race([this.#reader.read(), slow.promise]);
      // Cut off is not the end, although a cancelled read says so.
      if (this.#abandoned) throw unreadable();
      if (done) return undefined;
      this.#bytes += value.length;
      if (this.#bytes > this.#bytesMax) throw tooLarge(this.#bytesMax);
      return value;
    } catch (error) {
      void this.#reader.cancel(error).catch(() => undefined);
      throw error instanceof UserError ? error : unreadable(error);
    } finally {
      clearTimeout(timer);
      this.#waitedMs += performance.now() - startedMs;
    }
  }

  /** The client has left: some runtimes would let a read wait for it. */
  abandon(): void {
    this.#abandoned = true;
    void this.#reader.cancel().catch(() => undefined);
  }

  cancel(reason: unknown): Promise<void> {
    return this.#reader.cancel(reason);
  }
}

function unreadable(cause?: unknown): UserError {
  return new UserError("invalid_body", "Cannot read the body of this request: it ended or broke off early", {
    cause,
  });
}

function tooLarge(bytesMax: number): UserError {
  return new UserError("too_large", `Cannot take this request: its body is over ${bytesMax} bytes`);
}
