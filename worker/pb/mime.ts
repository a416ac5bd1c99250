/** The content type of an upload by its bytes; what the client claims is never believed. */
import { fileTypeFromBuffer } from "file-type";
import { limits } from "../../shared/limits.ts";
import { sniffText } from "./mime-text.ts";
import { sniffOle } from "./mime-ole.ts";
import { sniffZip } from "./mime-zip.ts";

/** What PocketBase's sniffer calls what ours calls otherwise; "" is what it does not know. */
const NAMES: Readonly<Record<string, string>> = {
  "application/java-vm": "application/x-java-applet",
  "application/vnd.ms-asf": "video/x-ms-asf",
  "application/x-esri-shape": "application/vnd.shx",
  "application/x-lz4": "",
  "application/x-xpinstall": "application/zip",
  "audio/ape": "",
  "audio/ogg; codecs=opus": "audio/ogg",
  "image/icns": "image/x-icns",
  "model/stl": "",
  "video/MP2P": "video/mpeg",
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

const BEGINNINGS: readonly (readonly [string, string])[] = [
  ["ID3", "audio/mpeg"],
  ["OggS", "application/ogg"],
  [".snd", "audio/basic"],
  ["AT&T", "image/vnd.djvu"],
];

/** Without parameters, e.g. `image/png`; `text/plain` for other text, `application/octet-stream` for the rest. */
export async function sniffMime(head: Uint8Array): Promise<string> {
  if (head.length === 0 || byteOrder(head) !== undefined) return "text/plain";
  const found = sniffZip(head) ?? sniffOle(head) ?? (await fileTypeFromBuffer(head))?.mime;
  const named = found === undefined ? "" : (NAMES[found] ?? found);
  if (named !== "") return named;
  const start = new TextDecoder("latin1").decode(head.subarray(0, 4));
  const began = BEGINNINGS.find(([beginning]) => start.startsWith(beginning));
  if (began !== undefined) return began[1];
  return hasBinary(head) ? "application/octet-stream" : sniffText(new TextDecoder().decode(head));
}

export async function sniffBlob(blob: Blob): Promise<string> {
  return sniffMime(new Uint8Array(await blob.slice(0, limits.sniffBytesMax).arrayBuffer()));
}

/** The type with the character set that the bytes of a text tell. */
export function contentTypeOf(mime: string, head: Uint8Array): string {
  const isText = ["text/plain", "text/html", "text/xml"].includes(mime);
  if (!isText || head.length === 0) return mime;
  const declared = mime === "text/xml" ? XML_ENCODING.exec(new TextDecoder().decode(head))?.[1] : undefined;
  const charset = declared ?? charsetOf(head);
  return charset === "" ? mime : `${mime}; charset=${charset}`;
}

const XML_ENCODING = /^\s*<\?xml[^>]*\sencoding\s*=\s*["']([\w.-]+)["']/;

/** "" for none: bytes that are no letter of Latin-1 tell nothing. The last character never tells UTF-8, as it may be cut. */
function charsetOf(head: Uint8Array): string {
  const order = byteOrder(head);
  if (order !== undefined) return order;
  const whole = head.subarray(0, lastCharacter(head));
  if (whole.some((byte) => byte >= 0x80) && isUtf8(whole)) return "utf-8";
  if (head.some((byte) => byte >= 0x7f && byte < 0xa0)) return "";
  return head.some((byte) => byte >= 0x80) ? "iso-8859-1" : "utf-8";
}

/** Where a last character of several bytes begins; the end where there is none. */
function lastCharacter(head: Uint8Array): number {
  for (let at = head.length - 1; at >= Math.max(0, head.length - 3); at--) {
    const byte = head[at] ?? 0;
    if (byte < 0x80) break;
    if (byte >= 0xc0) return at;
  }
  return head.length;
}

/** Of a text in two bytes a character that begins with the mark of their order. */
function byteOrder([first, second]: Uint8Array): "utf-16le" | "utf-16be" | undefined {
  if (first === 0xff && second === 0xfe) return "utf-16le";
  return first === 0xfe && second === 0xff ? "utf-16be" : undefined;
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Control characters that no text has: all but tab, line ends, form feed and escape. */
function hasBinary(head: Uint8Array): boolean {
  return head.some((byte) => byte < 0x20 && byte !== 0x1b && (byte < 0x09 || byte > 0x0d));
}
