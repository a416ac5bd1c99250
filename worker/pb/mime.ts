/** The content type of an upload by its bytes; what the client claims is never believed. */
import { fileTypeFromBuffer } from "file-type";
import { limits } from "../../shared/limits.ts";

/** Without parameters, e.g. `image/png`; `text/plain` for other text, `application/octet-stream` for the rest. */
export async function sniffMime(head: Uint8Array): Promise<string> {
  if (head.length === 0) return "text/plain";
  const found = await fileTypeFromBuffer(head);
  if (found !== undefined && found.mime !== "application/xml") return found.mime;
  const text = decodeText(head);
  return text === undefined ? "application/octet-stream" : sniffText(text);
}

export async function sniffBlob(blob: Blob): Promise<string> {
  return sniffMime(new Uint8Array(await blob.slice(0, limits.sniffBytesMax).arrayBuffer()));
}

/** UTF-8 (the head may end inside a character) without control characters. */
function decodeText(head: Uint8Array): string | undefined {
  for (let cut = 0; cut < 4 && cut < head.length; cut++) {
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(head.subarray(0, head.length - cut));
      return hasBinary(head) ? undefined : text;
    } catch {
      continue;
    }
  }
  return undefined;
}

/** Control characters that no text has: all but tab, line ends, form feed and escape. */
function hasBinary(head: Uint8Array): boolean {
  return head.some((byte) => byte < 0x20 && byte !== 0x1b && (byte < 0x09 || byte > 0x0d));
}

function sniffText(text: string): string {
  const trimmed = text.trimStart();
  const lower = trimmed.slice(0, 1024).toLowerCase();
  if (
    /^(<\?xml[^>]*\?>\s*)?(<!--[\s\S]*?-->\s*)*(<!doctype svg[^>]*>\s*)?(<!--[\s\S]*?-->\s*)*<svg[\s>]/.test(
      lower,
    )
  )
    return "image/svg+xml";
  if (
    /^(<!--[\s\S]*?-->\s*)?(<!doctype html|<(html|head|body|script|iframe|h1|div|font|table|a|style|title|b|br|p)[\s>])/.test(
      lower,
    )
  )
    return "text/html";
  if (lower.startsWith("<?xml")) return "text/xml";
  if (/^[{[]/.test(trimmed) && isJson(trimmed)) return "application/json";
  return "text/plain";
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return text.length >= limits.sniffBytesMax - 4 && /^\{\s*"|^\[\s*[{["\d]/.test(text);
  }
}
