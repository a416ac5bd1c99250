import { type Socket, createConnection, createServer } from "node:net";

/** Stands before a server and can be stopped: connections break, and new ones are closed at once. */
export interface StoppableServer {
  readonly port: number;
  stop(): void;
  start(): void;
  close(): void;
}

export async function stoppable(target: URL): Promise<StoppableServer> {
  const sockets = new Set<Socket>();
  let up = true;
  const server = createServer((client) => {
    if (!up) return void client.destroy();
    const upstream = createConnection({ host: target.hostname, port: Number(target.port) });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  const stop = (): void => {
    up = false;
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: address.port,
    stop,
    start: () => {
      up = true;
    },
    close: () => {
      stop();
      server.close();
    },
  };
}
