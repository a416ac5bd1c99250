import { limits } from "../../shared/limits.ts";
import type { Outgoing } from "../http1/outgoing.ts";
import { SendQueue, type Sender } from "../http1/send-queue.ts";
import { sendByWrite } from "../http1/send-by-write.ts";
import type { Socket } from "../proxy/upstream.ts";

/** Held by every open connection, also by one that waits for events. */
const READ_BYTES = 4 * 1024;

/** The part of Deno's connection that is used. */
export interface NativeConnection {
  read: (into: Uint8Array) => Promise<number | null>;
  /** How many bytes were taken. */
  write: (bytes: Uint8Array) => Promise<number>;
  closeWrite: () => Promise<void>;
  close: () => void;
}

type Told = (bytes: Uint8Array<ArrayBuffer> | null) => void;

/** For others to put together what goes out, while the system takes what was. */
const together: Uint8Array<ArrayBuffer>[] = [];

/** All that was read in a turn is told before what is queued in it. */
const queue = new SendQueue((send) => queueMicrotask(send));

/**
 * A connection of Deno's, which reads when it is asked to. What was sent counts as taken while it is the only thing that is under way: to
 * hear of each time that it was taken would cost more promises than all the rest.
 */
export class DenoSocket implements Socket, Sender {
  readonly #connection: NativeConnection;
  readonly #buffer = new Uint8Array(READ_BYTES);
  #told: Told | undefined;
  /** What is under way, where it ends, and how far the system has taken it. */
  #sending: Uint8Array<ArrayBuffer> | undefined;
  #length = 0;
  #taken = 0;
  #broken: unknown;
  #waiting: PromiseWithResolvers<void> | undefined;
  #closed = false;

  constructor(connection: NativeConnection) {
    this.#connection = connection;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#connection.read(into);
  }

  receive(told: Told): void {
    this.#told = told;
    this.#connection.read(this.#buffer).then(this.#came, this.#broke);
  }

  readonly #came = (read: number | null): void => {
    const told = this.#told;
    this.#told = undefined;
    told?.(read === null || read === 0 ? null : this.#buffer.subarray(0, read));
  };

  readonly #broke = (): void => this.#came(null);

  async write(bytes: Uint8Array): Promise<number> {
    await this.flushed();
    return this.#connection.write(bytes);
  }

  send(head: Outgoing, body: Uint8Array | null): Promise<void> | undefined {
    const length = head.length + (body?.length ?? 0);
    if (length > limits.sendTogetherBytesMax || this.#sending !== undefined) {
      return sendByWrite(this, head.copy(body));
    }
    if (body !== null) head.put(body);
    const { bytes, from, to } = head;
    head.replace(together.pop());
    this.#sending = bytes;
    this.#length = to;
    this.#taken = from;
    queue.add(this);
    return undefined;
  }

  sendNow(): void {
    if (this.#sending !== undefined) this.#sendMore(this.#sending);
  }

  get unsent(): boolean {
    return this.#sending !== undefined;
  }

  /** When nothing is under way any more. */
  flushed(): Promise<void> | undefined {
    if (this.#broken !== undefined) return Promise.reject(asError(this.#broken));
    if (this.#sending === undefined) return undefined;
    this.#waiting ??= Promise.withResolvers<void>();
    return this.#waiting.promise;
  }

  #sendMore(bytes: Uint8Array<ArrayBuffer>): void {
    this.#connection.write(bytes.subarray(this.#taken, this.#length)).then(this.#wrote, this.#unsent);
  }

  readonly #wrote = (taken: number): void => {
    const bytes = this.#sending;
    if (bytes === undefined) return;
    this.#taken += taken;
    if (this.#taken < this.#length) {
      this.#sendMore(bytes);
      return;
    }
    this.#sending = undefined;
    if (together.length < limits.sendBuffersKeptMax) together.push(bytes);
    this.#waiting?.resolve();
    this.#waiting = undefined;
  };

  /** Whoever reads hears of it, too. */
  readonly #unsent = (error: unknown): void => {
    this.#sending = undefined;
    this.#broken = error;
    this.#waiting?.reject(asError(error));
    this.#waiting = undefined;
    this.close();
  };

  async closeWrite(): Promise<void> {
    await this.flushed();
    await this.#connection.closeWrite();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#sending !== undefined) queue.send();
    this.#connection.close();
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
