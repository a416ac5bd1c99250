/** The two ends of a WebSocket, as Bun has them, behind one face. */
import type { ServerWebSocket, WebSocketHandler } from "bun";
import { limits } from "../../../shared/limits.ts";
import type { Keyring } from "../../../shared/protocol/keys.ts";
import { type Greeting, type Hello, greetingRequest } from "./handshake.ts";
import type { Socket } from "./peer.ts";

/** What the accepting side hangs on a server's WebSocket. */
export interface LinkSocketData {
  opened(socket: Socket, text: (text: string) => void): void;
  received(socket: Socket, bytes: Uint8Array | string): void;
  closed(socket: Socket): void;
}

/** With Bun's options and `terminate`, which the DOM's type lacks. */
const Client = WebSocket as unknown as new (url: string, options: Bun.WebSocketOptions) => Bun.WebSocket;
const sockets = new WeakMap<ServerWebSocket<LinkSocketData | undefined>, Socket>();

/** For `Bun.serve`. */
export const linkSockets: WebSocketHandler<LinkSocketData | undefined> = {
  maxPayloadLength: limits.raftFrameBytesMax,
  backpressureLimit: limits.raftLinkQueueBytesMax + limits.raftFrameBytesMax,
  closeOnBackpressureLimit: true,
  perMessageDeflate: false,
  open(ws) {
    const socket: Socket = {
      send: (bytes) => void ws.sendBinary(bytes),
      buffered: () => ws.getBufferedAmount(),
      close: () => ws.terminate(),
    };
    sockets.set(ws, socket);
    // A hello that refuses must arrive: closing is polite until the first frame.
    ws.data?.opened({ ...socket, close: () => ws.close() }, (text) => void ws.sendText(text));
  },
  message(ws, bytes) {
    const socket = sockets.get(ws);
    if (socket === undefined) return;
    try {
      ws.data?.received(socket, bytes);
    } catch {
      ws.terminate();
    }
  },
  close(ws) {
    const socket = sockets.get(ws);
    if (socket !== undefined) ws.data?.closed(socket);
  },
};

/** Resolves with the other's hello; undefined when it cannot be reached or says nothing in time. */
export function dial(
  address: string,
  greeting: Greeting,
  keys: Keyring,
  nowMs: number,
  on: { received(socket: Socket, bytes: Uint8Array): void; closed(socket: Socket): void },
): Promise<{ socket: Socket; hello: Hello } | undefined> {
  const { path, headers } = greetingRequest(greeting, keys, nowMs);
  return new Promise((resolve) => {
    let ws: Bun.WebSocket;
    try {
      ws = new Client(address.replace(/^http/, "ws") + path, { headers });
    } catch {
      resolve(undefined);
      return;
    }
    ws.binaryType = "arraybuffer";
    const socket: Socket = {
      send: (bytes) => {
        if (ws.readyState === WebSocket.OPEN) ws.send(bytes);
      },
      buffered: () => ws.bufferedAmount,
      close: () => ws.terminate(),
    };
    const timer = setTimeout(() => ws.terminate(), limits.raftDialMs);
    let met = false;
    ws.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
      try {
        if (met) {
          if (data instanceof ArrayBuffer) on.received(socket, new Uint8Array(data));
          return;
        }
        met = true;
        clearTimeout(timer);
        resolve({ socket, hello: JSON.parse(String(data)) as Hello });
      } catch {
        ws.terminate();
      }
    });
    ws.addEventListener("close", () => {
      clearTimeout(timer);
      resolve(undefined);
      on.closed(socket);
    });
    ws.addEventListener("error", () => ws.terminate());
  });
}
