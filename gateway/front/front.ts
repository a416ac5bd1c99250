import { limits } from "../../shared/limits.ts";
import type { Socket } from "../proxy/upstream.ts";
import { ClientConnection, type ClientOptions } from "./client-connection.ts";

/** All connections of clients. One timer looks at the time that each may take. */
export class Front {
  readonly #options: ClientOptions;
  readonly #open = new Set<ClientConnection>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #ended: (() => void) | undefined;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  get connections(): number {
    return this.#open.size;
  }

  /** Serves a new connection until it ends. One too many is closed. */
  readonly accept = (socket: Socket, address: string): void => {
    if (this.#open.size >= limits.clientConnectionsMax || this.#ended !== undefined) {
      socket.close();
      return;
    }
    const connection = new ClientConnection(socket, address, this.#options);
    this.#open.add(connection);
    this.#timer ??= setInterval(() => this.#look(), Math.min(1_000, this.#options.clientWaitMs / 2));
    void connection.serve().then(() => this.#forget(connection));
  };

  /** Idle connections are closed now, others with their answers; settles when none is left. */
  end(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ended = resolve;
    for (const connection of this.#open) connection.end();
    if (this.#open.size === 0) resolve();
    return promise;
  }

  #forget(connection: ClientConnection): void {
    this.#open.delete(connection);
    if (this.#open.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#ended?.();
  }

  #look(): void {
    const nowMs = performance.now();
    for (const connection of this.#open) if (nowMs > connection.dueAtMs) connection.close();
  }
}
