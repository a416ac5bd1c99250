/** What kind of text a text is, told as PocketBase tells it: by how it begins, and by its form. */
import { limits } from "../../shared/limits.ts";

const SVG =
  /^(?:<\?xml\b[^>]*\?>\s*)?(?:<!--[\s\S]*?-->\s*)*(?:<!doctype svg[^>]*>\s*)?(?:<!--[\s\S]*?-->\s*)*<svg\b[^>]*\sxmlns\s*=\s*["']http:\/\/www\.w3\.org\/2000\/svg["']/i;
const HTML =
  /^(?:<!--[\s\S]*?-->\s*)?(?:<!doctype html|<(?:html|head|body|script|iframe|h1|div|font|table|a|style|title|b|br|p)[\s>])/i;
const INTERPRETED: readonly (readonly [RegExp, string])[] = [
  [/^(?:php)/, "text/x-php"],
  [/^(?:node(?:js)?)/, "text/javascript"],
  [/^lua\b/, "text/x-lua"],
  [/^perl\b/, "text/x-perl"],
  [/^python/, "text/x-python"],
  [/^ruby/, "text/x-ruby"],
  [/^(?:tcl|wish)/, "text/x-tcl"],
  [/^(?:(?:ba|z|k|c|tc|da)?sh|fish)\b/, "text/x-shellscript"],
];
const SHAPES =
  /^\{(?:[\s\S]*[,{])?\s*"type"\s*:\s*"(?:Feature|FeatureCollection|Point|LineString|Polygon|MultiPoint|MultiLineString|MultiPolygon|GeometryCollection)"/;
const SUBTITLE = /^\d+\r?\n\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}/;
/** Lines after which a table is one. */
const TABLE_LINES = 10;

/** @param text - the beginning of a text, at most `limits.sniffBytesMax` of it */
export function sniffText(text: string): string {
  const trimmed = text.trimStart();
  if (SVG.test(trimmed)) return "image/svg+xml";
  if (HTML.test(trimmed)) return "text/html";
  if (/^<\?xml/i.test(trimmed)) return xmlKind(trimmed);
  if (text.startsWith("#EXTM3U")) return "application/vnd.apple.mpegurl";
  if (/^<\?(?:php|[\n\r ])/i.test(text)) return "text/x-php";
  const interpreter = /^#!\s*(?:\/(?:usr\/(?:local\/)?)?bin\/(?:env\s+(?:-S\s+)?)?)(\S+)/.exec(text)?.[1];
  const script = INTERPRETED.find(([pattern]) => interpreter !== undefined && pattern.test(interpreter));
  if (script !== undefined) return script[1];
  const isCut = text.length >= limits.sniffBytesMax - 4;
  if (/^[{[]/.test(trimmed) && isJson(trimmed, isCut)) {
    return SHAPES.test(trimmed) ? "application/geo+json" : "application/json";
  }
  if (isJsonLines(text, isCut)) return "application/x-ndjson";
  if (SUBTITLE.test(text)) return "application/x-subrip";
  if (isTable(text, ",", isCut)) return "text/csv";
  if (isTable(text, "\t", isCut)) return "text/tab-separated-values";
  if (/^BEGIN:VCARD\r?\n/i.test(text)) return "text/vcard";
  return /^BEGIN:VCALENDAR\r?\n/i.test(text) ? "text/calendar" : "text/plain";
}

/** The root of a document, what its name space begins with, its type. */
const XML_KINDS: readonly (readonly [RegExp, string, string])[] = [
  [/<rss\b/, "", "application/rss+xml"],
  [/<feed\b/, "http://www.w3.org/2005/Atom", "application/atom+xml"],
  [/<X3D\b/, "http://www.w3.org/2001/XMLSchema-instance", "model/x3d+xml"],
  [/<kml\b/, "http://www.opengis.net/kml/2.2", "application/vnd.google-earth.kml+xml"],
  [/<xliff\b/, "urn:oasis:names:tc:xliff:document:1.2", "application/x-xliff+xml"],
  [/<COLLADA\b/, "http://www.collada.org/2005/11/COLLADASchema", "model/vnd.collada+xml"],
  [/<gpx\b/, "http://www.topografix.com/GPX/1/1", "application/gpx+xml"],
  [
    /<TrainingCenterDatabase\b/,
    "http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2",
    "application/vnd.garmin.tcx+xml",
  ],
  [/<amf\b/, "", "application/x-amf"],
  [
    /<model\b/,
    "http://schemas.microsoft.com/3dmanufacturing/core/2015/02",
    "application/vnd.ms-package.3dmanufacturing-3dmodel+xml",
  ],
  [/<Ontology\b/, "http://www.w3.org/2002/07/owl#", "application/owl+xml"],
  [/<html\b/, "http://www.w3.org/1999/xhtml", "application/xhtml+xml"],
];

function xmlKind(text: string): string {
  const kind = XML_KINDS.find(([root, space]) => root.test(text) && text.includes(space));
  return kind?.[2] ?? "text/xml";
}

function isJson(text: string, isCut: boolean): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return isCut && /^\{\s*"|^\[\s*[{["\d]/.test(text);
  }
}

/** Documents on lines of their own, one of them an object or a list. */
function isJsonLines(text: string, isCut: boolean): boolean {
  const lines = text.replace(/\n$/, "").split(/\r?\n/);
  if (isCut) lines.pop();
  return (
    lines.length > 1 &&
    lines.some((line) => /^\s*[{[]/.test(line)) &&
    lines.every((line) => isJson(line, false))
  );
}

/** Two lines or more, each of as many fields as the first, and that two or more. */
function isTable(text: string, comma: string, isCut: boolean): boolean {
  const counts: number[] = [];
  let [fields, isQuoted, isEmpty] = [1, false, true];
  const whole = isCut ? text.slice(0, text.lastIndexOf("\n") + 1) : `${text}\n`;
  for (let at = 0; at < whole.length && counts.length < TABLE_LINES; at++) {
    const character = whole[at] ?? "";
    if (isEmpty && character === "#") {
      at = whole.indexOf("\n", at);
      continue;
    }
    if (character === '"') isQuoted = !isQuoted;
    else if (!isQuoted && character === comma) fields++;
    else if (!isQuoted && character === "\n") {
      if (!isEmpty) counts.push(fields);
      [fields, isEmpty] = [1, true];
      continue;
    }
    isEmpty &&= character === "\r";
  }
  const [first = 0] = counts;
  return first >= 2 && counts.length >= 2 && counts.every((count) => count === first);
}
