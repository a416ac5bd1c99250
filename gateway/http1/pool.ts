import { limits } from "../../shared/limits.ts";
import type { Told } from "../proxy/told.ts";
import type { SendUpstream, Socket, UpstreamAnswer, UpstreamRequest } from "../proxy/upstream.ts";
import { Connection } from "./connection.ts";

/** Opens a byte stream to `http:` or `https:` origins. */
export type Connect = (origin: URL) => Promise<Socket>;

/**
 * Kept HTTP/1.1 connections to workers, for runtimes whose `fetch` costs more than everything else that a gateway does. It never sends a
 * request twice: that is for the caller to decide, who knows what is safe.
 */
export class Http1Pool {
  readonly #connect: Connect;
  readonly #idle = new Map<string, Connection[]>();
  readonly #origins = new Map<string, URL>();

  constructor(connect: Connect) {
    this.#connect = connect;
  }

  /** Fails with `code: "ECONNREFUSED"` when no connection was made, also not in time: nothing was sent then. */
  readonly send: SendUpstream = (request, told) => {
    const kept = this.#take(request.origin);
    if (kept !== undefined) kept.send(request, told);
    else void this.#sendNew(request, told);
  };

  async #sendNew(request: UpstreamRequest, told: Told<UpstreamAnswer>): Promise<void> {
    let connection: Connection;
    try {
      request.stop.throwIfStopped();
      connection = await this.#open(request.origin);
    } catch (error) {
      told.failed(error);
      return;
    }
    connection.send(request, told);
  }

  #take(origin: string): Connection | undefined {
    const idle = this.#idle.get(origin);
    for (let last = idle?.pop(); last !== undefined; last = idle?.pop()) if (!last.closed) return last;
    return undefined;
  }

  #keep(origin: string, connection: Connection): void {
    const nowMs = performance.now();
    connection.idleSinceMs = nowMs;
    let idle = this.#idle.get(origin);
    if (idle === undefined) {
      idle = [];
      this.#idle.set(origin, idle);
    }
    idle.push(connection);
    // The longest idle one is at the front: it goes when it is too old, or one too many.
    const [oldest] = idle;
    const old = oldest !== undefined && nowMs - oldest.idleSinceMs > limits.upstreamIdleMs;
    if (idle.length > limits.upstreamIdlePerWorkerMax || old) idle.shift()?.close();
  }

  async #open(origin: string): Promise<Connection> {
    let url = this.#origins.get(origin);
    if (url === undefined) {
      url = new URL(origin);
      if (this.#origins.size >= limits.upstreamOriginsMax) this.#forget();
      this.#origins.set(origin, url);
    }
    let late = false;
    const timeout = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => timeout.reject(new Error("no connection in time")),
      limits.upstreamConnectMs,
    );
    const opening = this.#connect(url).then((socket) => {
      if (late) socket.close();
      return socket;
    });
    try {
      const socket = await Promise.race([opening, timeout.promise]);
      return new Connection(socket, url.host, (connection) => this.#keep(origin, connection));
    } catch (cause) {
      late = true;
      opening.catch(() => undefined);
      throw Object.assign(new Error(`Cannot connect to ${origin}`, { cause }), { code: "ECONNREFUSED" });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Workers come and go with new addresses: those without connections are forgotten. */
  #forget(): void {
    this.#origins.clear();
    for (const [origin, idle] of this.#idle) {
      if (idle.every(({ closed }) => closed)) this.#idle.delete(origin);
    }
  }
}
