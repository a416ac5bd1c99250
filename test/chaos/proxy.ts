/** A TCP proxy whose connections can be cut or made to hang. */
import { type Server, type Socket, connect, createServer } from "node:net";

export type Cut = "closed" | "hanging";

interface Pair {
  client: Socket;
  upstream: Socket;
  /** Who dialled, as far as the first bytes tell. */
  from: string;
}

export class Proxy {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  /** By who dials; "" cuts everybody. */
  readonly #cuts = new Map<string, Cut>();

  private constructor(targetPort: () => number) {
    this.#server = createServer((client) => this.#join(client, targetPort()));
  }

  static async start(targetPort: () => number): Promise<Proxy> {
    const proxy = new Proxy(targetPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  cut(from: string, how: Cut): void {
    this.#cuts.set(from, how);
    for (const pair of this.#pairs) this.#apply(pair);
  }

  heal(): void {
    this.#cuts.clear();
    // What hung has lost bytes in nobody's name: both ends start anew.
    for (const { client, upstream } of this.#pairs) {
      if (client.isPaused() || upstream.isPaused()) {
        client.destroy();
        upstream.destroy();
      }
    }
  }

  close(): void {
    for (const { client, upstream } of this.#pairs) {
      client.destroy();
      upstream.destroy();
    }
    this.#server.close();
  }

  #join(client: Socket, port: number): void {
    const upstream = connect(port, "127.0.0.1");
    const pair: Pair = { client, upstream, from: "" };
    this.#pairs.add(pair);
    const end = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    client.once("data", (first) => {
      pair.from = /[?&]from=([a-z0-9-]+)/.exec(first.toString("latin1"))?.[1] ?? "";
      this.#apply(pair);
    });
    client.on("data", (bytes) => upstream.write(bytes));
    upstream.on("data", (bytes) => client.write(bytes));
    for (const socket of [client, upstream]) socket.on("error", end).on("close", end);
    this.#apply(pair);
  }

  #apply({ client, upstream, from }: Pair): void {
    const how = this.#cuts.get("") ?? this.#cuts.get(from);
    if (how === "closed") {
      client.destroy();
      upstream.destroy();
    } else if (how === "hanging") {
      client.pause();
      upstream.pause();
    }
  }
}
