import type { Fields } from "../proxy/upstream.ts";
import { ProtocolError, framingOf, parseFields } from "./fields.ts";

/** An answer's head as RFC 9112 frames it, read strictly: what can be read in two ways is an error. */
export interface Head {
  status: number;
  fields: Fields;
  /** Bytes of the body, or how its end is found; 0 also for answers that have none. */
  length: number | "chunked" | "close";
  /** The connection can be used again after the body. */
  persistent: boolean;
}

const STATUS = /^HTTP\/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?$/;

/** @param method of the request: an answer to HEAD has no body whatever it says */
export function parseHead(text: string, method: string): Head {
  const end = firstLineEnd(text);
  const [, minor, code] = STATUS.exec(text.slice(0, end)) ?? [];
  if (code === undefined) throw new ProtocolError("no status line");
  const status = Number(code);
  const fields = parseFields(text, end + 2);
  const { length, chunked, connection } = framingOf(fields);
  const persistent = minor === "1" && !connection.includes("close");
  const none = method === "HEAD" || status === 204 || status === 304 || status < 200;
  if (none) return { status, fields, length: 0, persistent };
  if (chunked) return { status, fields, length: "chunked", persistent };
  if (length !== undefined) return { status, fields, length, persistent };
  return { status, fields, length: "close", persistent: false };
}

/** Where the first line of a head ends. */
export function firstLineEnd(text: string): number {
  const end = text.indexOf("\r\n");
  return end < 0 ? text.length : end;
}

/** The end of the head (after its empty line) in these bytes, or -1. */
export function headEnd(bytes: Uint8Array, from: number): number {
  // At each place, how far the last byte of CR LF CR LF can be from it at least.
  for (let at = from + 3; at < bytes.length;) {
    const byte = bytes[at];
    if (byte === 13) at += 1;
    else if (byte !== 10) at += 4;
    else if (bytes[at - 1] === 13 && bytes[at - 2] === 10 && bytes[at - 3] === 13) return at + 1;
    else at += 2;
  }
  return -1;
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** Bytes as the characters of the same numbers, which is how header values are shown. */
export function fromLatin1(bytes: Uint8Array): string {
  const text = utf8.decode(bytes);
  // Only ASCII has one character a byte, apart from bytes that are no UTF-8.
  if (text.length === bytes.length && !text.includes("\ufffd")) return text;
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

/** @throws ProtocolError for a character that is no byte */
export function toLatin1(text: string): Uint8Array<ArrayBuffer> {
  const bytes = encoder.encode(text);
  if (bytes.length === text.length) return bytes;
  return Uint8Array.from(text, (character) => {
    const code = character.charCodeAt(0);
    if (code > 255) throw new ProtocolError("a header that is not of bytes");
    return code;
  });
}

/** A head and the body that goes with it, in one piece. */
export function withHead(head: string, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(head.length + body.length);
  const { read, written } = encoder.encodeInto(head, all);
  if (read === head.length && written === head.length) all.set(body, head.length);
  else {
    all.set(toLatin1(head));
    all.set(body, head.length);
  }
  return all;
}
