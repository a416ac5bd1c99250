import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname, relative, resolve } from "node:path";
import type { Server, ServerWebSocket } from "bun";
import { limits } from "../../shared/limits.ts";
import type { Handler, Listening, Runtime } from "../runtime.ts";
import { type SocketTarget, type UpstreamSocket, close, openUpstream } from "./join-sockets.ts";

/** The gateway's view of Bun. */
export function bunRuntime(): Runtime {
  const stopping = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => stopping.abort());
  if (process.env["MANYBASE_SUPERVISED"] !== undefined) void endWithParent(stopping);
  return {
    arguments: process.argv.slice(2),
    environment: process.env,
    stopping: stopping.signal,
    fetch: undecodedFetch,
    decodesBodies: false,
    readText: (path) => readFileSync(path, "utf8"),
    replaceText,
    readFolder,
    onReload: (look) => void process.on("SIGHUP", look),
    serve,
    metrics: async (gauges) => (await import("./prometheus.ts")).prometheus(gauges),
    print: (line) => console.log(line),
    complain: (line) => console.error(line),
    exit: (status) => process.exit(status),
  };
}

const undecodedFetch = ((url: string, init: RequestInit) =>
  fetch(url, { ...init, decompress: false })) as typeof fetch;

function serve(
  handler: Handler,
  listen: { hostname: string; port: number },
  signal: AbortSignal,
): Promise<Listening> {
  const server = Bun.serve<SocketData>({
    ...listen,
    idleTimeout: 0,
    maxRequestBodySize: limits.importBytesMax,
    async fetch(request, bun) {
      const answer = await handler(request, {
        client: { address: bun.requestIP(request)?.address ?? "", protocol: "http" },
        upgrade: (target) => upgrade(bun, request, target),
        // Its socket takes nothing any more, so that it is idle from now on.
        hangUp: () => bun.timeout(request, 1),
      });
      return answer === UPGRADED ? undefined : answer;
    },
    websocket: {
      idleTimeout: 0,
      backpressureLimit: limits.socketBufferBytesMax,
      closeOnBackpressureLimit: true,
      open: join,
      message: (client, message) => fromClient(client, message),
      close: (client, code, reason) => close(client.data.upstream.socket, code, reason),
    },
    error: () => new Response("Cannot answer this request\n", { status: 500 }),
  });
  return Promise.resolve({
    url: `http://${server.hostname}:${server.port}`,
    finished: new Promise((resolve) => {
      signal.addEventListener("abort", () => void server.stop(true).then(resolve), { once: true });
    }),
  });
}

interface SocketData {
  upstream: UpstreamSocket;
}

/** Stands for "this connection is a WebSocket now", which Bun wants to hear as undefined. */
const UPGRADED = new Response(null);

async function upgrade(
  server: Server<SocketData>,
  request: Request,
  target: SocketTarget,
): Promise<Response> {
  const upstream = await openUpstream(target);
  const { protocol } = upstream.socket;
  const done = server.upgrade(request, {
    data: { upstream },
    ...(protocol === "" ? {} : { headers: { "sec-websocket-protocol": protocol } }),
  });
  if (done) return UPGRADED;
  upstream.socket.close();
  return new Response("Cannot upgrade this connection\n", { status: 400 });
}

function join(client: ServerWebSocket<SocketData>): void {
  const { socket, early, keep } = client.data.upstream;
  socket.removeEventListener("message", keep);
  for (const data of early) client.send(data);
  socket.addEventListener(
    "message",
    ({ data }: MessageEvent<string | ArrayBuffer>) => void client.send(data),
  );
  socket.addEventListener("close", ({ code, reason }) => {
    if (code === 1000 || code >= 3000) client.close(code, reason);
    else client.close();
  });
  if (socket.readyState > WebSocket.OPEN) client.close();
}

function fromClient(client: ServerWebSocket<SocketData>, message: string | Buffer<ArrayBuffer>): void {
  const { socket } = client.data.upstream;
  if (socket.readyState !== WebSocket.OPEN) return;
  socket.send(message);
  if (socket.bufferedAmount > limits.socketBufferBytesMax) client.close(1013, "the other side does not read");
}

function replaceText(path: string, text: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const next = `${path}.next`;
  const file = openSync(next, "w");
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(next, path);
  return Promise.resolve();
}

function* readFolder(folder: string, filesMax: number): Generator<[string, Uint8Array<ArrayBuffer>]> {
  let left = filesMax;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    if (left-- <= 0) throw new Error(`it has over ${filesMax} files`);
    const path = resolve(entry.parentPath, entry.name);
    yield [relative(folder, path).replaceAll("\\", "/"), new Uint8Array(readFileSync(path))];
  }
}

/** Our standard input is a pipe from the supervisor: it closes when that one dies, however it dies. */
async function endWithParent(stopping: AbortController): Promise<void> {
  for await (const chunk of Bun.stdin.stream()) void chunk;
  stopping.abort();
}
