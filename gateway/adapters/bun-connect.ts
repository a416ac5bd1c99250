import type { Socket as BunSocket } from "bun";
import type { Socket } from "../http1/connection.ts";

/** A connection to a worker over Bun's sockets, which hand bytes out as they come: they are kept, and no more taken, until somebody reads. */
export async function connectBun({ hostname, port }: URL): Promise<Socket> {
  const bytes = new Incoming();
  const socket = await Bun.connect<Incoming>({
    hostname: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port) || 80,
    data: bytes,
    socket: HANDLERS,
  });
  socket.setNoDelay(true);
  return {
    read: (into) => bytes.read(socket, into),
    write: (part) => {
      const taken = socket.write(part);
      if (taken < 0) throw new Error("the connection is closed");
      return taken === part.length ? taken : bytes.drained(taken);
    },
    close: () => {
      socket.terminate();
      bytes.end();
    },
  };
}

class Incoming {
  #kept: Uint8Array | undefined;
  #ended = false;
  #into: Uint8Array | undefined;
  #resolve: ((read: number | null) => void) | undefined;
  #drain: ((written: number) => void) | undefined;
  #written = 0;

  read(socket: BunSocket<Incoming>, into: Uint8Array): Promise<number | null> {
    const kept = this.#kept;
    if (kept !== undefined) {
      const part = kept.subarray(0, into.length);
      into.set(part);
      this.#kept = part.length < kept.length ? kept.subarray(part.length) : undefined;
      if (this.#kept === undefined && !this.#ended) socket.resume();
      return Promise.resolve(part.length);
    }
    if (this.#ended) return Promise.resolve(null);
    this.#into = into;
    return new Promise((resolve) => (this.#resolve = resolve));
  }

  take(socket: BunSocket<Incoming>, bytes: Uint8Array): void {
    const [into, resolve] = [this.#into, this.#resolve];
    if (into === undefined || resolve === undefined || this.#kept !== undefined) {
      this.#keep(bytes);
      socket.pause();
      return;
    }
    this.#into = this.#resolve = undefined;
    if (bytes.length <= into.length) {
      into.set(bytes);
      resolve(bytes.length);
      return;
    }
    into.set(bytes.subarray(0, into.length));
    this.#kept = bytes.subarray(into.length);
    socket.pause();
    resolve(into.length);
  }

  /** What was on its way when the socket was told to pause. */
  #keep(bytes: Uint8Array): void {
    const before = this.#kept ?? new Uint8Array();
    const all = new Uint8Array(before.length + bytes.length);
    all.set(before);
    all.set(bytes, before.length);
    this.#kept = all;
  }

  /** The system's buffer is full: the rest is offered again when it has room. */
  drained(written: number): Promise<number> {
    if (this.#ended) return Promise.reject(new Error("the connection is closed"));
    this.#written = written;
    return new Promise((resolve) => (this.#drain = resolve));
  }

  drain(): void {
    const resolve = this.#drain;
    this.#drain = undefined;
    resolve?.(this.#written);
  }

  end(): void {
    this.#ended = true;
    this.#resolve?.(null);
    this.#into = this.#resolve = undefined;
    this.drain();
  }
}

const HANDLERS = {
  data: (socket: BunSocket<Incoming>, bytes: Uint8Array): void => socket.data.take(socket, bytes),
  drain: ({ data }: BunSocket<Incoming>): void => data.drain(),
  end: ({ data }: BunSocket<Incoming>): void => data.end(),
  close: ({ data }: BunSocket<Incoming>): void => data.end(),
  error: ({ data }: BunSocket<Incoming>): void => data.end(),
};
