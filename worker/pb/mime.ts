/** The content type of an upload by its bytes; what the client claims is never believed. */
import { fileTypeFromBuffer } from "file-type";
import { limits } from "../../shared/limits.ts";
import { sniffText } from "./mime-text.ts";

/** What PocketBase's sniffer calls what ours calls otherwise; "" is what it does not know. */
const NAMES: Readonly<Record<string, string>> = {
  "application/eps": "application/postscript",
  "application/pgp-encrypted": "",
  "application/rtf": "text/rtf",
  "application/x-cfb": "application/x-ole-storage",
  "application/x-deb": "application/vnd.debian.binary-package",
  "application/x-google-chrome-extension": "application/x-chrome-extension",
  "application/x-lzip": "application/lzip",
  "application/x-msdownload": "application/vnd.microsoft.portable-executable",
  "application/x-nintendo-nes-rom": "application/vnd.nintendo.snes.rom",
  "application/x-parquet": "application/vnd.apache.parquet",
  "application/x-sqlite3": "application/vnd.sqlite3",
  "application/x-unix-archive": "application/x-archive",
  "application/x.ms.shortcut": "application/x-ms-shortcut",
  "application/xml": "",
  "audio/vnd.wave": "audio/wav",
  "audio/x-musepack": "audio/musepack",
  "image/apng": "image/vnd.mozilla.apng",
  "image/vnd.ms-photo": "image/jxr",
  "text/calendar": "",
  "text/vcard": "",
  "video/matroska": "video/x-matroska",
  "video/vnd.avi": "video/x-msvideo",
};

/** Without parameters, e.g. `image/png`; `text/plain` for other text, `application/octet-stream` for the rest. */
export async function sniffMime(head: Uint8Array): Promise<string> {
  if (head.length === 0 || byteOrder(head) !== undefined) return "text/plain";
  const found = (await fileTypeFromBuffer(head))?.mime;
  const named = found === undefined ? "" : (NAMES[found] ?? found);
  if (named !== "") return named;
  const start = new TextDecoder("latin1").decode(head.subarray(0, 4));
  if (start.startsWith("ID3")) return "audio/mpeg";
  if (start === "OggS") return "application/ogg";
  return hasBinary(head) ? "application/octet-stream" : sniffText(new TextDecoder().decode(head));
}

export async function sniffBlob(blob: Blob): Promise<string> {
  return sniffMime(new Uint8Array(await blob.slice(0, limits.sniffBytesMax).arrayBuffer()));
}

/** The type with the character set that the bytes of a text tell. */
export function contentTypeOf(mime: string, head: Uint8Array): string {
  const isText = ["text/plain", "text/html", "text/xml"].includes(mime);
  return isText && head.length > 0 ? `${mime}; charset=${charsetOf(head)}` : mime;
}

function charsetOf(head: Uint8Array): string {
  const order = byteOrder(head);
  if (order !== undefined) return order;
  if (isUtf8(head)) return "utf-8";
  return head.some((byte) => byte >= 0x80 && byte < 0xa0) ? "windows-1252" : "iso-8859-1";
}

/** Of a text in two bytes a character that begins with the mark of their order. */
function byteOrder([first, second]: Uint8Array): "utf-16le" | "utf-16be" | undefined {
  if (first === 0xff && second === 0xfe) return "utf-16le";
  return first === 0xfe && second === 0xff ? "utf-16be" : undefined;
}

/** The head may end inside a character. */
function isUtf8(head: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: true });
    return true;
  } catch {
    return false;
  }
}

/** Control characters that no text has: all but tab, line ends, form feed and escape. */
function hasBinary(head: Uint8Array): boolean {
  return head.some((byte) => byte < 0x20 && byte !== 0x1b && (byte < 0x09 || byte > 0x0d));
}
