import { ProtocolError } from "../http1/fields.ts";
import { toLatin1 } from "../http1/head.ts";
import type { Fields } from "./upstream.ts";

/** Fields as the lines of a head, each with its end. */
export interface Lines {
  /** All but the length, which is for the framing to say. */
  bytes: Uint8Array;
  /** What `content-length` said, if it was a length. */
  declared: number | undefined;
  /** The same as a line. */
  length: Uint8Array;
  /** There is a `date`. */
  dated: boolean;
}

const NONE = new Uint8Array();

/**
 * Works them out once for the same fields, which must not be changed afterwards.
 *
 * @throws ProtocolError for a value that would be two lines, or is not of bytes
 */
export function linesOf(fields: Fields): Lines {
  if (fields.lines !== undefined) return fields.lines;
  let text = "";
  let declared: number | undefined;
  let dated = false;
  for (const [name, value] of fields) {
    if (name === "content-length") {
      declared = /^[0-9]{1,15}$/.test(value) ? Number(value) : undefined;
      continue;
    }
    if (name === "date") dated = true;
    if (value.includes("\n") || value.includes("\r")) throw new ProtocolError("a broken header");
    text += `${name}: ${value}\r\n`;
  }
  const length = declared === undefined ? NONE : toLatin1(lengthLine(declared));
  const lines: Lines = { bytes: toLatin1(text), declared, length, dated };
  fields.lines = lines;
  return lines;
}

export const lengthLine = (bytes: number): string => `content-length: ${bytes}\r\n`;
