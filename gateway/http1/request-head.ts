import type { Fields } from "../proxy/upstream.ts";
import { ProtocolError, framingOf, parseFields } from "./fields.ts";
import { firstLineEnd } from "./head.ts";

/** A request's head as RFC 9112 frames it, read strictly. */
export interface RequestHead {
  method: string;
  /** Path and query, beginning with `/`. */
  target: string;
  fields: Fields;
  /** Bytes of the body; 0 when there is none. */
  length: number | "chunked";
  /** The client speaks HTTP/1.1, not 1.0. */
  modern: boolean;
  /** The client lets the connection be used again. */
  persistent: boolean;
  /** It waits for `100 Continue` before it sends its body. */
  waits: boolean;
  /** It wants the connection to become a WebSocket. */
  socket: boolean;
}

const LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~\x80-\xff]+) HTTP\/1\.([01])$/;
const ABSOLUTE = /^https?:\/\/([^/?#\\]*)(.*)$/i;

/** @throws ProtocolError for what is no request, has two hosts, or can be framed in two ways */
export function parseRequestHead(text: string): RequestHead {
  const end = firstLineEnd(text);
  const [, method, target, minor] = LINE.exec(text.slice(0, end)) ?? [];
  if (method === undefined || target === undefined) throw new ProtocolError("no request line");
  const fields = parseFields(text, end + 2);
  const { length, chunked, connection } = framingOf(fields);
  const modern = minor === "1";
  // RFC 9112 §6.1: who speaks 1.0 knows no chunks, and a proxy before us may not either.
  if (chunked && !modern) throw new ProtocolError("chunks of HTTP/1.0");
  let host: string | undefined;
  let upgrade: string | undefined;
  let waits = false;
  for (const field of fields) {
    const name = field[0];
    const value = field[1];
    if (name === "host") {
      if (host !== undefined) throw new ProtocolError("two hosts");
      host = value;
    } else if (name === "upgrade") {
      upgrade = value.toLowerCase();
    } else if (name === "expect") {
      if (value.toLowerCase() !== "100-continue") throw new ProtocolError("an unknown expectation");
      waits = modern;
    }
  }
  return {
    method,
    target: pathOfTarget(target, host),
    fields,
    length: chunked ? "chunked" : (length ?? 0),
    modern,
    persistent: modern && !connection.includes("close"),
    waits,
    socket: upgrade === "websocket" && connection.includes("upgrade"),
  };
}

/** An absolute target must be of the host that is named; those of CONNECT and `OPTIONS *` are nobody's here. */
function pathOfTarget(target: string, host: string | undefined): string {
  let path = target;
  if (!target.startsWith("/")) {
    const [, authority, rest = ""] = ABSOLUTE.exec(target) ?? [];
    if (authority === undefined || authority.toLowerCase() !== host?.toLowerCase()) {
      throw new ProtocolError("a target that is not of the host");
    }
    path = rest.startsWith("/") ? rest : `/${rest}`;
  }
  if (path.includes("#")) throw new ProtocolError("a target with a fragment");
  return /[\x80-\xff]/.test(path) ? fromUtf8(path) : path;
}

function fromUtf8(path: string): string {
  try {
    const bytes = Uint8Array.from(path, (character) => character.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ProtocolError("a target that is not of characters", { cause });
  }
}
