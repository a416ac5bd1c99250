/// <reference lib="deno.ns" />
import type { Handler, Listening, Runtime } from "../runtime.ts";
import { type SocketTarget, joinSockets, openUpstream } from "./join-sockets.ts";

/** The gateway's view of Deno. Needs --allow-net, --allow-env, and to read <data> and write <data>/gateway. */
export function denoRuntime(): Runtime {
  const stopping = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, () => stopping.abort());
  const environment = Deno.env.toObject();
  if (environment["MANYBASE_SUPERVISED"] !== undefined) void endWithParent(stopping);
  return {
    arguments: Deno.args,
    environment,
    stopping: stopping.signal,
    fetch,
    decodesBodies: true,
    readText: (path) => Deno.readTextFileSync(path),
    replaceText,
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
