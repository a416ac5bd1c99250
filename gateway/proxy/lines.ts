import { ProtocolError } from "../http1/fields.ts";
import type { Fields } from "./upstream.ts";

/** Fields as the lines of a head, each with its end. */
export interface Lines {
  /** All but the length, which is for the framing to say. */
  text: string;
  /** What `content-length` said, if it was a length. */
  declared: number | undefined;
  /** There is a `date`. */
  dated: boolean;
}

const known = new WeakMap<Fields, Lines>();

/**
 * Works them out once for the same fields, which must not be changed afterwards.
 *
 * @throws ProtocolError for a value that would be two lines
 */
export function linesOf(fields: Fields): Lines {
  const found = known.get(fields);
  if (found !== undefined) return found;
  const lines: Lines = { text: "", declared: undefined, dated: false };
  for (const [name, value] of fields) {
    if (name === "content-length") {
      lines.declared = /^[0-9]{1,15}$/.test(value) ? Number(value) : undefined;
      continue;
    }
    if (name === "date") lines.dated = true;
    if (value.includes("\n") || value.includes("\r")) throw new ProtocolError("a broken header");
    lines.text += `${name}: ${value}\r\n`;
  }
  known.set(fields, lines);
  return lines;
}
