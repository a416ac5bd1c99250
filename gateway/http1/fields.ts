import type { Fields } from "../proxy/upstream.ts";

/** What cannot be read as RFC 9112 frames it, or can be read in two ways. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Control characters, and line ends that are not whole: what another reader may take for the end of a line. */
const BROKEN = /[^\t\r\n -~\u0080-\u00ff]|\r(?!\n)|[^\r]\n/;

/** Names as they were sent and as they are: the same few come with every message. */
const known = new Map<string, string>();
const KNOWN_MAX = 1_000;
const KNOWN_CHARACTERS_MAX = 64;

/**
 * The field lines of a head, strictly: no folding, no space before a colon, nothing that is no name.
 *
 * @param text the head as Latin-1 text, without the empty line at its end
 * @param from where the line after the first one begins
 * @throws ProtocolError
 */
export function parseFields(text: string, from: number): Fields {
  if (BROKEN.test(text)) throw new ProtocolError("a broken line");
  const fields: Fields = [];
  for (let at = from; at < text.length;) {
    let end = text.indexOf("\r\n", at);
    if (end < 0) end = text.length;
    const colon = text.indexOf(":", at);
    if (colon < 0 || colon >= end) throw new ProtocolError("a malformed header");
    fields.push([nameOf(text.slice(at, colon)), valueOf(text, colon + 1, end)]);
    at = end + 2;
  }
  return fields;
}

function nameOf(raw: string): string {
  const found = known.get(raw);
  if (found !== undefined) return found;
  if (!NAME.test(raw)) throw new ProtocolError("a malformed header");
  const name = raw.toLowerCase();
  if (known.size < KNOWN_MAX && raw.length <= KNOWN_CHARACTERS_MAX) known.set(raw, name);
  return name;
}

/** Without the blanks around it. */
function valueOf(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

const isBlank = (code: number): boolean => code === 32 || code === 9;

/** How a message's fields frame its body, before the exceptions for certain methods and statuses. */
export interface Framing {
  length: number | undefined;
  chunked: boolean;
  /** What `Connection` lists, lower case. */
  connection: readonly string[];
}

const NONE: readonly string[] = [];

/** @throws ProtocolError for two lengths that differ, a length and chunks, and codings that are not `chunked` alone */
export function framingOf(fields: Fields): Framing {
  let length: number | undefined;
  let chunked = false;
  let connection = "";
  for (const field of fields) {
    const name = field[0];
    const value = field[1];
    if (name === "content-length") {
      if (!/^[0-9]{1,15}$/.test(value) || (length !== undefined && length !== Number(value))) {
        throw new ProtocolError("a malformed length");
      }
      length = Number(value);
    } else if (name === "transfer-encoding") {
      if (chunked || value.toLowerCase() !== "chunked") throw new ProtocolError("an unknown coding");
      chunked = true;
    } else if (name === "connection") {
      connection += `,${value}`;
    }
  }
  if (chunked && length !== undefined) throw new ProtocolError("a length and chunks");
  const listed = connection === "" ? NONE : connection.toLowerCase().split(/[ \t]*,[ \t]*/);
  return { length, chunked, connection: listed };
}
