const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const scratch = new Uint8Array(16 * 1024);

/**
 * An equal text that owns its characters. A decoder gives parts of one string that spans many rows, and each part keeps all of that
 * alive: without the copy a row of a few bytes could cost the whole txn that wrote it, for as long as the row stays as it is.
 *
 * @param text - well-formed
 */
export function ownText(text: string): string {
  // A UTF-16 unit is at most three bytes.
  if (text.length * 3 > scratch.length) return decoder.decode(encoder.encode(text));
  return decoder.decode(scratch.subarray(0, encoder.encodeInto(text, scratch).written));
}
