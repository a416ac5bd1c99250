import { parseFields } from "../http1/fields.ts";
import type { Outgoing } from "../http1/outgoing.ts";
import type { Lines } from "./lines.ts";
import type { Stop } from "./stop.ts";
import { type Told, tellOf } from "./told.ts";

/**
 * Header fields in order, names in lower case, repeated ones as often as they were sent. Not changed once they are made: what follows from
 * them is kept at them by who works it out.
 */
export type Fields = [name: string, value: string][] & { lines?: Lines; answered?: Fields };

/** What goes to a worker. */
export interface UpstreamRequest {
  /** e.g. `http://10.0.0.1:7500` */
  origin: string;
  /** Path and query. */
  path: string;
  method: string;
  fields: Fields;
  /** More of them, as lines with their ends, of a head that is well-formed. */
  readonly lines?: string;
  /** Puts the same lines into a head, where that is cheaper. */
  putLines?: (out: Outgoing) => void;
  body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null;
  stop: Stop;
  /** Asks for a WebSocket: 101 answers that, with a tunnel. */
  socket?: boolean;
}

/** A byte stream, as a runtime gives it. */
export interface Socket {
  /** Bytes read, or null at the end. */
  read: (into: Uint8Array) => Promise<number | null>;
  /**
   * Tells of the next bytes, or of the end (null), which a broken connection has, too. Once, and later than this call; the bytes are
   * there only until `told` returns. Nobody else reads meanwhile.
   */
  receive: (told: (bytes: Uint8Array<ArrayBuffer> | null) => void) => void;
  /** How many bytes were taken; known at once where the system takes them at once. */
  write: (bytes: Uint8Array) => number | Promise<number>;
  /**
   * A head and the body behind it in one piece, all of it. Both are the caller's again when this returns.
   *
   * @returns undefined when the system took all of it at once, or will soon (see `flushed`)
   */
  send: (head: Outgoing, body: Uint8Array | null) => Promise<void> | undefined;
  /** The system has not taken all of what was sent. */
  readonly unsent?: boolean;
  /** Where that is told later: settles when it was. */
  flushed?: () => Promise<void> | undefined;
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
  /** Not to be changed: the same ones stand for all answers that have them. */
  fields: Fields;
  /** Bytes are there only until who is told of the answer returns. */
  body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | null;
  tunnel: Tunnel | undefined;
}

/** Sends one request. Fails with a `code` of `ECONNREFUSED` when nothing can have been sent. */
export type SendUpstream = (request: UpstreamRequest, told: Told<UpstreamAnswer>) => void;

export function sendByFetch(send: typeof fetch): SendUpstream {
  const ask = async (request: UpstreamRequest): Promise<UpstreamAnswer> => {
    const { origin, path, method, fields, lines = "", body, stop } = request;
    const response = await send(origin + path, {
      method,
      headers: [...fields, ...parseFields(lines, 0)],
      redirect: "manual",
      signal: stop.signal,
      ...(body === null ? {} : { body, duplex: "half" }),
    });
    return {
      status: response.status,
      fields: [...response.headers],
      body: response.body,
      tunnel: undefined,
    };
  };
  return (request, told) => tellOf(ask(request), told);
}

/** An answer whose bytes stay. */
export function kept(answer: UpstreamAnswer): UpstreamAnswer {
  const { body } = answer;
  return body instanceof Uint8Array ? { ...answer, body: body.slice() } : answer;
}

export function answerText({ body }: UpstreamAnswer): Promise<string> {
  return new Response(body).text();
}

export async function dropAnswer({ body }: UpstreamAnswer): Promise<void> {
  if (body instanceof ReadableStream) await body.cancel();
}
