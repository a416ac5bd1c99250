/// <reference lib="deno.ns" />
import type { Socket } from "../http1/connection.ts";
import { Http1Pool } from "../http1/pool.ts";
import { VARIABLES } from "../options.ts";
import type { Handler, Listening, Runtime } from "../runtime.ts";
import { type SocketTarget, joinSockets, openUpstream } from "./join-sockets.ts";

/** The gateway's view of Deno. Needs --allow-net, its variables, to read <data>/keys/gateway.key and to read and write <data>/gateway. */
export function denoRuntime(): Runtime {
  const stopping = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, () => stopping.abort());
  // By name: permission for these alone is enough.
  const environment = Object.fromEntries(VARIABLES.map((name) => [name, Deno.env.get(name)]));
  if (environment["MANYBASE_SUPERVISED"] !== undefined) void endWithParent(stopping);
  return {
    arguments: Deno.args,
    environment,
    stopping: stopping.signal,
    fetch,
    send: new Http1Pool(connect).send,
    decodesBodies: true,
    readText: (path) => Deno.readTextFileSync(path),
    replaceText,
    readFolder,
    onReload: (look) => Deno.addSignalListener("SIGHUP", look),
    serve,
    metrics: async (gauges) => (await import("./prometheus.ts")).prometheus(gauges),
    print: (line) => console.log(line),
    complain: (line) => console.error(line),
    exit: (status) => Deno.exit(status),
  };
}

function serve(
  handler: Handler,
  listen: { hostname: string; port: number },
  signal: AbortSignal,
): Promise<Listening> {
  // What Deno throws at once becomes a rejection.
  return Promise.resolve().then(() => {
    const server = Deno.serve(
      {
        ...listen,
        signal,
        onListen: () => undefined,
        onError: () => new Response("Cannot answer this request\n", { status: 500 }),
      },
      (request, { remoteAddr }) =>
        handler(request, {
          client: { address: "hostname" in remoteAddr ? remoteAddr.hostname : "", protocol: "http" },
          upgrade: (target) => upgrade(request, target),
        }),
    );
    return { url: `http://${server.addr.hostname}:${server.addr.port}`, finished: server.finished };
  });
}

async function connect({ protocol, hostname, port }: URL): Promise<Socket> {
  const address = { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port) };
  if (protocol === "https:") return Deno.connectTls({ ...address, port: address.port || 443 });
  const socket = await Deno.connect({ ...address, port: address.port || 80 });
  socket.setNoDelay(true);
  return socket;
}

async function upgrade(request: Request, target: SocketTarget): Promise<Response> {
  const upstream = await openUpstream(target);
  const { socket, response } = Deno.upgradeWebSocket(request, {
    idleTimeout: 0,
    ...(upstream.socket.protocol === "" ? {} : { protocol: upstream.socket.protocol }),
  });
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => joinSockets(socket, upstream));
  socket.addEventListener("error", () => upstream.socket.close());
  return response;
}

function* readFolder(folder: string, filesMax: number): Generator<[string, Uint8Array<ArrayBuffer>]> {
  const folders = [""];
  let left = filesMax;
  for (let inside = folders.pop(); inside !== undefined; inside = folders.pop()) {
    for (const { name, isFile, isDirectory } of Deno.readDirSync(`${folder}/${inside}`)) {
      const path = `${inside}${name}`;
      if (isDirectory) folders.push(`${path}/`);
      if (!isFile) continue;
      if (left-- <= 0) throw new Error(`it has over ${filesMax} files`);
      yield [path, Deno.readFileSync(`${folder}/${path}`)];
    }
  }
}

async function replaceText(path: string, text: string): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  const next = `${path}.next`;
  using file = await Deno.open(next, { write: true, create: true, truncate: true });
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(await file.write(bytes));
  await file.sync();
  await Deno.rename(next, path);
}

/** Our standard input is a pipe from the supervisor: it closes when that one dies, however it dies. */
async function endWithParent(stopping: AbortController): Promise<void> {
  for await (const chunk of Deno.stdin.readable) void chunk;
  stopping.abort();
}
