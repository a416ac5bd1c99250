import type { Fields } from "../proxy/upstream.ts";

/** An answer's head as RFC 9112 frames it, read strictly: what can be read in two ways is an error. */
export interface Head {
  status: number;
  fields: Fields;
  /** Bytes of the body, or how its end is found; 0 also for answers that have none. */
  length: number | "chunked" | "close";
  /** The connection can be used again after the body. */
  persistent: boolean;
}

export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

const STATUS = /^HTTP\/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?$/;
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

/** @param method of the request: an answer to HEAD has no body whatever it says */
export function parseHead(text: string, method: string): Head {
  const lines = text.split("\r\n");
  const [, minor, code] = STATUS.exec(lines[0] ?? "") ?? [];
  if (code === undefined) throw new ProtocolError("no status line");
  const status = Number(code);
  const fields: Fields = [];
  let length: number | undefined;
  let chunked = false;
  let persistent = minor === "1";
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i] ?? "";
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon)).toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (!NAME.test(name) || value.includes("\r") || value.includes("\n")) {
      throw new ProtocolError("a malformed header");
    }
    if (name === "content-length") {
      if (!/^[0-9]{1,15}$/.test(value) || (length !== undefined && length !== Number(value))) {
        throw new ProtocolError("a malformed length");
      }
      length = Number(value);
    } else if (name === "transfer-encoding") {
      if (chunked || value.toLowerCase() !== "chunked") throw new ProtocolError("an unknown coding");
      chunked = true;
    } else if (name === "connection" && value.toLowerCase() === "close") {
      persistent = false;
    }
    fields.push([name, value]);
  }
  if (chunked && length !== undefined) throw new ProtocolError("a length and chunks");
  const none = method === "HEAD" || status === 204 || status === 304 || status < 200;
  if (none) return { status, fields, length: 0, persistent };
  if (chunked) return { status, fields, length: "chunked", persistent };
  if (length !== undefined) return { status, fields, length, persistent };
  return { status, fields, length: "close", persistent: false };
}

/** The end of the head (after its empty line) in these bytes, or -1. */
export function headEnd(bytes: Uint8Array, from: number): number {
  for (let i = bytes.indexOf(13, from); i >= 0 && i + 3 < bytes.length; i = bytes.indexOf(13, i + 1)) {
    if (bytes[i + 1] === 10 && bytes[i + 2] === 13 && bytes[i + 3] === 10) return i + 4;
  }
  return -1;
}

const ascii = new TextDecoder();
const encoder = new TextEncoder();

/** Bytes as the characters of the same numbers, which is how header values are shown. */
export function fromLatin1(bytes: Uint8Array): string {
  let all = 0;
  for (const byte of bytes) all |= byte;
  if (all < 128) return ascii.decode(bytes);
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
