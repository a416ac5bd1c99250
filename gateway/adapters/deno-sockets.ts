import { limits } from "../../shared/limits.ts";
import { type Outgoing, outgoing } from "../http1/outgoing.ts";
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

/** Memory of messages that the system still has to take, and how many they are. */
interface Arena {
  bytes: Uint8Array<ArrayBuffer>;
  uses: number;
}

/** Where the next message is put together; others wait until theirs are taken, or are free again. */
let arena: Arena = { bytes: outgoing.bytes, uses: 0 };
const free: Uint8Array<ArrayBuffer>[] = [];

/** A place for the message that was put together, which stays. */
function keep({ bytes, to }: Outgoing): Arena {
  if (arena.bytes !== bytes) arena = { bytes, uses: 0 };
  const mine = arena;
  mine.uses += 1;
  outgoing.keep();
  if (to > limits.sendQueueBytesMax) {
    outgoing.replace(free.pop());
    arena = { bytes: outgoing.bytes, uses: 0 };
  }
  return mine;
}

function release(given: Arena): void {
  given.uses -= 1;
  if (given.uses > 0) return;
  if (given === arena) outgoing.forget();
  else if (free.length < limits.sendBuffersKeptMax && given.bytes.length === limits.outgoingBytes) {
    free.push(given.bytes);
  }
}

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
  /** Where what is under way is, where it ends, and how far the system has taken it. */
  #sending: Arena | undefined;
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
    this.#taken = head.from;
    this.#length = head.to;
    this.#sending = keep(head);
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

  #sendMore({ bytes }: Arena): void {
    this.#connection.write(bytes.subarray(this.#taken, this.#length)).then(this.#wrote, this.#unsent);
  }

  readonly #wrote = (taken: number): void => {
    const sending = this.#sending;
    if (sending === undefined) return;
    this.#taken += taken;
    if (this.#taken < this.#length) {
      this.#sendMore(sending);
      return;
    }
    this.#sending = undefined;
    release(sending);
    this.#waiting?.resolve();
    this.#waiting = undefined;
  };

  /** Whoever reads hears of it, too. */
  readonly #unsent = (error: unknown): void => {
    if (this.#sending !== undefined) release(this.#sending);
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
