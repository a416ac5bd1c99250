import { limits } from "../../shared/limits.ts";
import { type Outgoing, outgoing } from "../http1/outgoing.ts";
import { SendQueue, type Sender } from "../http1/send-queue.ts";
import { sendByWrite } from "../http1/send-by-write.ts";
import type { Socket } from "../proxy/upstream.ts";
import type { Accept, Listener, Where } from "../runtime.ts";

/** The part of Bun's socket that is used. */
type Native = Bun.Socket<BunSocket>;
type Told = (bytes: Uint8Array<ArrayBuffer> | null) => void;

const NONE: Uint8Array<ArrayBuffer> = new Uint8Array();
const queue = new SendQueue(
  (send) => void setImmediate(send),
  () => outgoing.forget(),
);

/** Bun's sockets push, ours are read: what comes while nobody reads is kept, and nothing more comes until it is read. */
class BunSocket implements Socket, Sender {
  readonly #native: Native;
  /** Came, but was not read. */
  readonly #kept: Uint8Array<ArrayBuffer>[] = [];
  #paused = false;
  #ended = false;
  #told: Told | undefined;
  #writer: (() => void) | undefined;
  /** What was sent waits for the others' of this turn. */
  #queued = false;
  #bytes = NONE;
  #from = 0;
  #to = 0;
  /** The system did not take all of it. */
  #sending: Promise<void> | undefined;

  constructor(native: Native) {
    this.#native = native;
  }

  read(into: Uint8Array): Promise<number | null> {
    return new Promise((resolve) => {
      const told: Told = (bytes) => {
        if (bytes === null) {
          resolve(null);
          return;
        }
        const read = Math.min(bytes.length, into.length);
        into.set(bytes.subarray(0, read));
        if (read < bytes.length) this.#kept.unshift(bytes.subarray(read));
        resolve(read);
      };
      const next = this.#kept.shift();
      if (next !== undefined) told(next);
      else this.#wait(told);
    });
  }

  receive(told: Told): void {
    if (this.#kept.length === 0 && !this.#ended) this.#wait(told);
    else queueMicrotask(() => told(this.#kept.shift() ?? null));
  }

  #wait(told: Told): void {
    if (this.#ended) {
      told(null);
      return;
    }
    this.#told = told;
    if (!this.#paused) return;
    this.#paused = false;
    this.#native.resume();
  }

  write(bytes: Uint8Array): number | Promise<number> {
    if (this.#queued) queue.send();
    return this.#sending === undefined
      ? this.#writeNow(bytes)
      : this.#sending.then(() => this.#writeNow(bytes));
  }

  readonly #writeNow = (bytes: Uint8Array): number | Promise<number> => {
    const written = this.#native.write(bytes);
    if (written > 0 || bytes.length === 0) return written;
    if (this.#ended || written < 0) return Promise.reject(new Error("the connection is closed"));
    return new Promise((resolve, reject) => {
      this.#writer = () => {
        if (this.#ended) reject(new Error("the connection was closed"));
        else resolve(0);
      };
    });
  };

  send(head: Outgoing, body: Uint8Array | null): Promise<void> | undefined {
    if (this.#queued) queue.send();
    const length = head.length + (body?.length ?? 0);
    if (length > limits.sendTogetherBytesMax || this.#sending !== undefined) {
      return sendByWrite(this, head.copy(body));
    }
    if (body !== null) head.put(body);
    this.#queued = true;
    this.#bytes = head.bytes;
    this.#from = head.from;
    this.#to = head.to;
    head.keep();
    queue.add(this);
    if (this.#to > limits.sendQueueBytesMax) queue.send();
    return undefined;
  }

  sendNow(): void {
    const bytes = this.#bytes;
    const from = this.#from;
    const to = this.#to;
    this.#queued = false;
    this.#bytes = NONE;
    const written = this.#native.write(bytes, from, to - from);
    if (written === to - from) return;
    const rest = bytes.slice(from + Math.max(0, written), to);
    this.#sending = sendByWrite({ write: this.#writeNow }, rest).then(() => (this.#sending = undefined));
    // Who reads hears of it, and who writes.
    this.#sending.catch(() => this.close());
  }

  get unsent(): boolean {
    return this.#queued || this.#sending !== undefined;
  }

  flushed(): Promise<void> | undefined {
    if (this.#queued) queue.send();
    return this.#sending;
  }

  async closeWrite(): Promise<void> {
    await this.flushed();
    this.#native.shutdown();
  }

  close(): void {
    if (this.#queued) queue.send();
    this.end();
    this.#native.end();
  }

  take(bytes: Uint8Array<ArrayBuffer>): void {
    const told = this.#told;
    if (told !== undefined) {
      this.#told = undefined;
      told(bytes);
      // Nobody asked for more meanwhile, and a part of it was not wanted.
      if (this.#kept.length === 0) return;
    } else this.#kept.push(bytes);
    if (this.#paused || this.#ended) return;
    this.#paused = true;
    this.#native.pause();
  }

  /** There is room for more. */
  drain(): void {
    const writer = this.#writer;
    this.#writer = undefined;
    writer?.();
  }

  end(): void {
    this.#ended = true;
    this.drain();
    const told = this.#told;
    this.#told = undefined;
    told?.(null);
  }
}

const handlers = {
  binaryType: "uint8array" as const,
  data: (native: Native, bytes: Uint8Array) => native.data.take(bytes as Uint8Array<ArrayBuffer>),
  drain: (native: Native) => native.data.drain(),
  end: (native: Native) => native.data.end(),
  close: (native: Native) => native.data.end(),
  error: (native: Native) => native.data.end(),
};

export function listen({ hostname, port, shared }: Where, accept: Accept): Listener {
  // Its types do not know the port's sharing.
  const where: { hostname: string; port: number; reusePort: boolean } = { hostname, port, reusePort: shared };
  const listener = Bun.listen<BunSocket>({
    ...where,
    socket: {
      ...handlers,
      open: (native) => {
        native.data = new BunSocket(native);
        accept(native.data, native.remoteAddress);
      },
    },
  });
  return { port: listener.port, close: () => listener.stop() };
}

/** By TLS only to who proves to have that name. */
export function connect({ protocol, hostname, port }: URL): Promise<Socket> {
  const tls = protocol === "https:";
  const name = hostname.replace(/^\[|\]$/g, "");
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const opened = (native: Native): BunSocket => (native.data ??= new BunSocket(native));
  Bun.connect<BunSocket>({
    hostname: name,
    port: Number(port) || (tls ? 443 : 80),
    ...(tls ? { tls: { serverName: name, rejectUnauthorized: true } } : {}),
    socket: {
      ...handlers,
      open: (native) => {
        const socket = opened(native);
        if (!tls) resolve(socket);
      },
      handshake: (native, success, error) => {
        const socket = opened(native);
        if (success && error === null && native.authorized) {
          resolve(socket);
          return;
        }
        reject(error ?? new Error("the handshake failed"));
        socket.close();
      },
      close: (native) => {
        opened(native).end();
        reject(new Error("the connection was closed"));
      },
    },
  }).catch(reject);
  return promise;
}
