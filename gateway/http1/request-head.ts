import { limits } from "../../shared/limits.ts";
import { FieldList } from "../proxy/incoming.ts";
import { ProtocolError, framingOf, parseFields } from "./fields.ts";
import { firstLineEnd } from "./head.ts";

/** What of a request's head its first line does not say. */
interface Block {
  headers: FieldList;
  host: string | undefined;
  /** Bytes of the body; 0 when there is none. */
  length: number | "chunked";
  /** The client lets the connection be used again, if it speaks HTTP/1.1. */
  persistent: boolean;
  /** It waits for `100 Continue` before it sends its body, if it speaks HTTP/1.1. */
  waits: boolean;
  /** It wants the connection to become a WebSocket. */
  socket: boolean;
}

/** A request's head as RFC 9112 frames it, read strictly. */
export interface RequestHead extends Omit<Block, "host"> {
  method: string;
  /** Path and query, beginning with `/`. */
  target: string;
  /** The client speaks HTTP/1.1, not 1.0. */
  modern: boolean;
}

const LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~\x80-\xff]+) HTTP\/1\.([01])$/;
const ABSOLUTE = /^https?:\/\/([^/?#\\]*)(.*)$/i;

/** Reads the heads of one connection. What follows the first line, if not all of it, is mostly the same as before, and is not read again then. */
export class RequestHeads {
  #whole = "";
  #head: RequestHead | undefined;
  #text = "";
  #block: Block | undefined;

  /**
   * @returns what is not to be changed
   * @throws ProtocolError for what is no request, has two hosts, or can be framed in two ways
   */
  read(text: string): RequestHead {
    const known = this.#head;
    if (known !== undefined && text === this.#whole) return known;
    const head = this.#readNew(text);
    if (text.length > limits.headKeptCharactersMax) return head;
    this.#whole = text;
    this.#head = head;
    return head;
  }

  #readNew(text: string): RequestHead {
    const end = firstLineEnd(text);
    const [, method, target, minor] = LINE.exec(text.slice(0, end)) ?? [];
    if (method === undefined || target === undefined) throw new ProtocolError("no request line");
    const { headers, host, length, persistent, waits, socket } = this.#read(text, end);
    const modern = minor === "1";
    // RFC 9112 §6.1: who speaks 1.0 knows no chunks, and a proxy before us may not either.
    if (length === "chunked" && !modern) throw new ProtocolError("chunks of HTTP/1.0");
    return {
      method,
      target: pathOfTarget(target, host),
      headers,
      length,
      modern,
      persistent: persistent && modern,
      waits: waits && modern,
      socket,
    };
  }

  #read(text: string, from: number): Block {
    const known = this.#block;
    const length = text.length - from;
    if (known !== undefined && this.#text.length === length && text.endsWith(this.#text)) return known;
    const block = parseBlock(text, from);
    if (length > limits.headKeptCharactersMax) return block;
    this.#text = text.slice(from);
    this.#block = block;
    return block;
  }
}

/** @throws ProtocolError as `RequestHeads` */
export function parseRequestHead(text: string): RequestHead {
  return new RequestHeads().read(text);
}

function parseBlock(text: string, from: number): Block {
  const fields = parseFields(text, from + 2);
  const { length, chunked, connection } = framingOf(fields);
  let host: string | undefined;
  let upgrade: string | undefined;
  let waits = false;
  for (const [name, value] of fields) {
    if (name === "host") {
      if (host !== undefined) throw new ProtocolError("two hosts");
      host = value;
    } else if (name === "upgrade") {
      upgrade = value.toLowerCase();
    } else if (name === "expect") {
      if (value.toLowerCase() !== "100-continue") throw new ProtocolError("an unknown expectation");
      waits = true;
    }
  }
  return {
    headers: new FieldList(fields),
    host,
    length: chunked ? "chunked" : (length ?? 0),
    persistent: !connection.includes("close"),
    waits,
    socket: upgrade === "websocket" && connection.includes("upgrade"),
  };
}

const BEYOND_ASCII = /[\x80-\xff]/;

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
  return BEYOND_ASCII.test(path) ? fromUtf8(path) : path;
}

function fromUtf8(path: string): string {
  try {
    const bytes = Uint8Array.from(path, (character) => character.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ProtocolError("a target that is not of characters", { cause });
  }
}
