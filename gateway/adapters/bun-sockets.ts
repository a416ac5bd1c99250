import type { Socket } from "../proxy/upstream.ts";
import type { Accept, Listener, Where } from "../runtime.ts";

/** The part of Bun's socket that is used. */
type Native = Bun.Socket<BunSocket>;

/** Bun's sockets push, ours are read: what comes while nobody reads is kept, and nothing more comes until it is read. */
class BunSocket implements Socket {
  readonly #native: Native;
  /** Came, but was not read. */
  readonly #kept: Uint8Array[] = [];
  #paused = false;
  #ended = false;
  #reader: { into: Uint8Array; resolve: (read: number | null) => void } | undefined;
  #writer: (() => void) | undefined;

  constructor(native: Native) {
    this.#native = native;
  }

  read(into: Uint8Array): Promise<number | null> {
    const kept = this.#kept[0];
    if (kept !== undefined) {
      const read = copied(kept, into);
      if (read < kept.length) this.#kept[0] = kept.subarray(read);
      else this.#kept.shift();
      return Promise.resolve(read);
    }
    if (this.#ended) return Promise.resolve(null);
    if (this.#paused) {
      this.#paused = false;
      this.#native.resume();
    }
    return new Promise((resolve) => {
      this.#reader = { into, resolve };
    });
  }

  write(bytes: Uint8Array): number | Promise<number> {
    const written = this.#native.write(bytes);
    if (written > 0 || bytes.length === 0) return written;
    if (this.#ended || written < 0) return Promise.reject(new Error("the connection is closed"));
    return new Promise((resolve, reject) => {
      this.#writer = () => {
        if (this.#ended) reject(new Error("the connection was closed"));
        else resolve(0);
      };
    });
  }

  closeWrite(): void {
    this.#native.shutdown();
  }

  close(): void {
    this.end();
    this.#native.end();
  }

  take(bytes: Uint8Array): void {
    const reader = this.#reader;
    let left = bytes;
    if (reader !== undefined) {
      this.#reader = undefined;
      const read = copied(bytes, reader.into);
      reader.resolve(read);
      left = bytes.subarray(read);
    }
    if (left.length === 0) return;
    this.#kept.push(left);
    if (this.#paused) return;
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
    this.#reader?.resolve(null);
    this.#reader = undefined;
    this.drain();
  }
}

function copied(from: Uint8Array, into: Uint8Array): number {
  const read = Math.min(from.length, into.length);
  into.set(read === from.length ? from : from.subarray(0, read));
  return read;
}

const handlers = {
  data: (native: Native, bytes: Buffer) => native.data.take(bytes),
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
