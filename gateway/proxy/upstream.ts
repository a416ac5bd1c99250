import type { Stop } from "./stop.ts";

/** Header fields in order, names in lower case, repeated ones as often as they were sent. */
export type Fields = [name: string, value: string][];

/** What goes to a worker. */
export interface UpstreamRequest {
  /** e.g. `http://10.0.0.1:7500` */
  origin: string;
  /** Path and query. */
  path: string;
  method: string;
  fields: Fields;
  body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null;
  stop: Stop;
  /** Asks for a WebSocket: 101 answers that, with a tunnel. */
  socket?: boolean;
}

/** A byte stream, as a runtime gives it. */
export interface Socket {
  /** Bytes read, or null at the end. */
  read: (into: Uint8Array) => Promise<number | null>;
  /** How many bytes were taken; known at once where the system takes them at once. */
  write: (bytes: Uint8Array) => number | Promise<number>;
  /** Says that nothing more comes from here. */
  closeWrite?: () => unknown;
  close: () => void;
}

/** A connection that speaks something else from now on. */
export interface Tunnel {
  socket: Socket;
  /** What was read of it already. */
  early: Uint8Array<ArrayBuffer>;
}

/** What came back: its head, and a body that streams or is there already. */
export interface UpstreamAnswer {
  status: number;
  fields: Iterable<[name: string, value: string]>;
  body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | null;
  tunnel?: Tunnel;
}

/** Sends one request. Fails with a `code` of `ECONNREFUSED` when nothing can have been sent. */
export type SendUpstream = (request: UpstreamRequest) => Promise<UpstreamAnswer>;

export function sendByFetch(send: typeof fetch): SendUpstream {
  return async ({ origin, path, method, fields, body, stop }) => {
    const response = await send(origin + path, {
      method,
      headers: fields,
      redirect: "manual",
      signal: stop.signal,
      ...(body === null ? {} : { body, duplex: "half" }),
    });
    return { status: response.status, fields: response.headers, body: response.body };
  };
}

export async function answerText({ body }: UpstreamAnswer): Promise<string> {
  return new Response(body).text();
}

export async function dropAnswer({ body }: UpstreamAnswer): Promise<void> {
  if (body instanceof ReadableStream) await body.cancel();
}
