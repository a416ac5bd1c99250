import { limits } from "../../shared/limits.ts";

/** Where a WebSocket goes on to. */
export interface SocketTarget {
  /** `http:` or `https:`, as of the worker. */
  url: string;
  headers: Headers;
  protocols: readonly string[];
}

/** The worker's side, open; what it said before the client's side was ready is kept. */
export interface UpstreamSocket {
  socket: WebSocket;
  early: (string | ArrayBuffer)[];
  keep: (event: MessageEvent<string | ArrayBuffer>) => void;
}

/** Both runtimes take headers in the constructor; the Web's own type does not. */
type SocketConstructor = new (url: string, init: { protocols: string[]; headers: object }) => WebSocket;

/** Headers that the handshake itself makes. */
const HANDSHAKE = /^(?:sec-websocket-.*|host|connection|upgrade|content-length|accept-encoding)$/;

/** @throws when the worker does not take it, or not in time */
export function openUpstream({ url, headers, protocols }: SocketTarget): Promise<UpstreamSocket> {
  const carried = Object.fromEntries([...headers].filter(([name]) => !HANDSHAKE.test(name)));
  const socket = new (WebSocket as unknown as SocketConstructor)(url.replace(/^http/, "ws"), {
    protocols: [...protocols],
    headers: carried,
  });
  socket.binaryType = "arraybuffer";
  const early: UpstreamSocket["early"] = [];
  const keep: UpstreamSocket["keep"] = ({ data }) => void early.push(data);
  socket.addEventListener("message", keep);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.close();
      reject(new Error("no handshake in time"));
    }, limits.upstreamConnectMs);
    socket.addEventListener("open", () => {
      clearTimeout(timer);
      resolve({ socket, early, keep });
    });
    for (const name of ["error", "close"] as const) {
      socket.addEventListener(name, () => {
        clearTimeout(timer);
        reject(new Error("the worker refused the handshake"));
      });
    }
  });
}

/** Hands messages and the end of each side to the other. A side that does not read is cut off instead of buffered for. */
export function joinSockets(client: WebSocket, { socket: worker, early, keep }: UpstreamSocket): void {
  worker.removeEventListener("message", keep);
  for (const data of early) client.send(data);
  pass(client, worker);
  pass(worker, client);
}

function pass(from: WebSocket, to: WebSocket): void {
  from.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) => {
    if (to.readyState !== WebSocket.OPEN) return;
    to.send(data);
    if (to.bufferedAmount > limits.socketBufferBytesMax) {
      close(to, 1008, "does not read");
      close(from, 1013, "the other side does not read");
    }
  });
  from.addEventListener("close", ({ code, reason }) => close(to, code, reason));
  from.addEventListener("error", () => close(to, 1011, ""));
}

/** Codes that stand for "no code was given" cannot be sent. */
export function close(socket: WebSocket, code: number, reason: string): void {
  const sendable = code === 1000 || (code >= 3000 && code <= 4999);
  if (socket.readyState > WebSocket.OPEN) return;
  if (sendable) socket.close(code, reason);
  else socket.close();
}
