import { limits } from "../../shared/limits.ts";
import type { Fields } from "../proxy/upstream.ts";
import { type Framing, ProtocolError, framingOf, parseFields } from "./fields.ts";

/** An answer's head as RFC 9112 frames it, read strictly: what can be read in two ways is an error. */
export interface Head {
  status: number;
  /** Not to be changed: the next head of the same text has the same ones. */
  fields: Fields;
  /** Bytes of the body, or how its end is found; 0 also for answers that have none. */
  length: number | "chunked" | "close";
  /** The connection can be used again after the body. */
  persistent: boolean;
}

const STATUS = /^HTTP\/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?$/;

/** @param method of the request: an answer to HEAD has no body whatever it says */
export function parseHead(text: string, method: string): Head {
  const { status, fields, framing, modern } = parseAnswer(text);
  const { length, chunked, connection } = framing;
  const persistent = modern && !connection.includes("close");
  const none = method === "HEAD" || status === 204 || status === 304 || status < 200;
  if (none) return { status, fields, length: 0, persistent };
  if (chunked) return { status, fields, length: "chunked", persistent };
  if (length !== undefined) return { status, fields, length, persistent };
  return { status, fields, length: "close", persistent: false };
}

/** What a head says, whatever was asked. */
interface AnswerText {
  status: number;
  fields: Fields;
  framing: Framing;
  modern: boolean;
}

/** Heads that were read: workers say the same few again and again, but for their dates, which are the same for a second. */
const known = new Map<string, AnswerText>();

function parseAnswer(text: string): AnswerText {
  const found = known.get(text);
  if (found !== undefined) return found;
  const end = firstLineEnd(text);
  const [, minor, code] = STATUS.exec(text.slice(0, end)) ?? [];
  if (code === undefined) throw new ProtocolError("no status line");
  const fields = parseFields(text, end + 2);
  const read = { status: Number(code), fields, framing: framingOf(fields), modern: minor === "1" };
  if (text.length <= limits.headKeptCharactersMax) {
    if (known.size >= limits.answerHeadsKeptMax) known.clear();
    known.set(text, read);
  }
  return read;
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

/** Whether bytes begin with those of a head that came before: to see that costs less than to read it. */
export function beginsWith(bytes: Uint8Array, head: Uint8Array): boolean {
  const { length } = head;
  if (length === 0 || bytes.length < length) return false;
  for (let i = 0; i < length; i++) if (bytes[i] !== head[i]) return false;
  return true;
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
