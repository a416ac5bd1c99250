/** What a ZIP archive holds, told as PocketBase tells it: by the names of the entries at its beginning. */

/** PocketBase looks at no more of a file. */
const HEAD_BYTES = 3072;
const ENTRIES_MAX = 100;
const SIGNATURE = "PK\u0003\u0004";

/** A folder of an Office document, and its type. */
const OFFICE: readonly (readonly [string, string])[] = [
  ["word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
  ["ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"],
  ["xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"],
  ["visio/", "application/vnd.ms-visio.drawing.main+xml"],
];
/** One of these comes first in an Office document, if not its folder. */
const OFFICE_FIRST = new Set(["[Content_Types].xml", "_rels/.rels", "docProps", "customXml", "[trash]"]);
const ANDROID = new Set(["AndroidManifest.xml", "classes.dex", "resources.arsc", "res/drawable"]);

/** Undefined for what is no archive, and for one whose names say nothing. */
export function sniffZip(head: Uint8Array): string | undefined {
  const names = entryNames(head);
  const [first] = names;
  if (first === undefined) return undefined;
  const isOffice = OFFICE_FIRST.has(first);
  const office = OFFICE.find(([folder]) =>
    names.some((name, at) => name.startsWith(folder) && (at === 0 || isOffice)),
  );
  if (office !== undefined) return office[1];
  if (names.some((name) => ANDROID.has(name))) return "application/vnd.android.package-archive";
  return names.includes("doc.kml") ? "application/vnd.google-earth.kmz" : undefined;
}

function entryNames(head: Uint8Array): string[] {
  const names: string[] = [];
  const bytes = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, HEAD_BYTES));
  if (bytes.toString("latin1", 0, 4) !== SIGNATURE) return names;
  for (let at = 0; at >= 0 && at + 30 <= bytes.length && names.length < ENTRIES_MAX;) {
    const start = at + 30;
    names.push(bytes.toString("latin1", start, start + bytes.readUInt16LE(at + 26)));
    at = bytes.indexOf(SIGNATURE, start, "latin1");
  }
  return names;
}
