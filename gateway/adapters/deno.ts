/// <reference lib="deno.ns" />
import { limits } from "../../shared/limits.ts";
import type { Gateway } from "../app.ts";
import { VARIABLES } from "../options.ts";
import type { Socket } from "../proxy/upstream.ts";
import { DenoSocket } from "./deno-sockets.ts";
import type { Accept, Listener, Listening, Runtime, Where } from "../runtime.ts";
import { type SocketTarget, joinSockets, openUpstream } from "./join-sockets.ts";
import { startThreads } from "./threads.ts";

/** The gateway's view of Deno. Needs --allow-net, its variables, to read <data>/keys/gateway.key and to read and write <data>/gateway. */
export function denoRuntime(): Runtime {
  const stopping = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, () => stopping.abort());
  const parts = denoParts(stopping.signal);
  if (parts.environment["MANYBASE_SUPERVISED"] !== undefined) void endWithParent(stopping);
  const make = (): Worker => new Worker(new URL("./deno-thread.ts", import.meta.url), { type: "module" });
  return {
    ...parts,
    arguments: Deno.args,
    startThreads: (...given) => startThreads(make, ...given),
    ...(isDeploy() ? { serve } : {}),
  };
}

/** What its threads have of it, too. */
export function denoParts(stopping: AbortSignal): Omit<Runtime, "arguments"> {
  return {
    // By name: permission for these alone is enough.
    environment: Object.fromEntries(VARIABLES.map((name) => [name, Deno.env.get(name)])),
    stopping,
    fetch,
    connect,
    decodesBodies: true,
    readText: (path) => Deno.readTextFileSync(path),
    replaceText,
    readFolder,
    onReload: (look) => Deno.addSignalListener("SIGHUP", look),
    listen,
    metrics: async (...given) => (await import("./prometheus.ts")).prometheus(...given),
    print: (line) => console.log(line),
    complain: (line) => console.error(line),
    exit: (status) => Deno.exit(status),
  };
}

function listen({ hostname, port, shared }: Where, accept: Accept): Listener {
  const listener = Deno.listen({
    hostname,
    port,
    tcpBacklog: limits.clientBacklogMax,
    ...(shared ? { reusePort: true } : {}),
  });
  let open = true;
  const take = async (): Promise<void> => {
    while (open) {
      let connection: Deno.TcpConn;
      try {
        connection = await listener.accept();
      } catch (error) {
        // Without descriptors there is nothing to do but to wait for some.
        if (open && !isBroken(error)) await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
        continue;
      }
      begin(connection, accept);
    }
  };
  void take();
  return {
    port: listener.addr.port,
    close: () => {
      open = false;
      listener.close();
    },
  };
}

const ACCEPT_PAUSE_MS = 20;

/** A connection that broke while it waited to be taken: the next one must not wait for that. */
function isBroken(error: unknown): boolean {
  const { NotConnected, ConnectionAborted, ConnectionReset } = Deno.errors;
  return [NotConnected, ConnectionAborted, ConnectionReset].some((kind) => error instanceof kind);
}

/** One that breaks right away is nobody's. */
function begin(connection: Deno.TcpConn, accept: Accept): void {
  try {
    connection.setNoDelay(true);
    accept(new DenoSocket(connection), connection.remoteAddr.hostname);
  } catch {
    connection.close();
  }
}

async function connect({ protocol, hostname, port }: URL): Promise<Socket> {
  const address = { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port) };
  if (protocol === "https:") {
    return new DenoSocket(await Deno.connectTls({ ...address, port: address.port || 443 }));
  }
  const socket = await Deno.connect({ ...address, port: address.port || 80 });
  socket.setNoDelay(true);
  return new DenoSocket(socket);
}

/** Deno Deploy takes connections itself. */
function isDeploy(): boolean {
  try {
    return Deno.env.get("DENO_DEPLOYMENT_ID") !== undefined;
  } catch {
    return false;
  }
}

function serve(
  fetch: Gateway["fetch"],
  { hostname: name, port: wanted }: Where,
  signal: AbortSignal,
): Promise<Listening> {
  const server = Deno.serve(
    {
      hostname: name,
      port: wanted,
      signal,
      onListen: () => undefined,
      onError: () => new Response("Cannot answer this request\n", { status: 500 }),
    },
    (request, { remoteAddr }) =>
      fetch(request, {
        client: { address: "hostname" in remoteAddr ? remoteAddr.hostname : "", protocol: "http" },
        upgrade: (target) => upgrade(request, target),
      }),
  );
  const { hostname, port } = server.addr;
  return Promise.resolve({ url: `http://${hostname}:${port}`, finished: server.finished });
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
