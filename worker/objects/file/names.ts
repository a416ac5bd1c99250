import { join } from "node:path";

/*
 * A key's segments become directories, its last one a file. In a name, `=` at the end marks an object and `+` a
 * directory whose name is continued by its entries; both characters are escaped in keys, so `a`, `a/b` and `ab`
 * never meet. Names hold only [a-z0-9._-] and %XX, so they mean the same on file systems that fold case or
 * normalise Unicode.
 */
const OBJECT = "=";
const CONTINUED = "+";
const ENTRY = /^((?:[a-z0-9._-]|%[0-9A-F]{2})+)([=+]?)$/;

/** Together with an escaped last character and the mark below the 255 bytes that file systems allow. */
const NAME_BYTES_MAX = 200;

/** Sixteen hex digits count up: 4,096 neighbours share a directory. */
const COUNTER = /^[0-9a-f]{16}/;
const COUNTER_SHARED = 13;
/** Fifteen random characters: up to 1,296 directories. */
const RANDOM_ID = /^[a-z0-9]{15}$/;
const RANDOM_SHARED = 2;

export interface ObjectPath {
  directory: string;
  path: string;
}

/** Where a key's object is, below `base`. Keys must have passed `checkKey`. */
export function objectPath(base: string, key: string): ObjectPath {
  const segments = key.split("/");
  const last = namesOf(segments.pop() ?? "", OBJECT);
  const file = last.pop() ?? "";
  const directory = join(base, ...segments.flatMap((segment) => namesOf(segment, "")), ...last);
  return { directory, path: join(directory, file) };
}

/** The directory that holds every key with this prefix, and the part of the prefix that it stands for. */
export function prefixDirectory(base: string, prefix: string): { path: string; stands: string } {
  const stands = prefix.slice(0, prefix.lastIndexOf("/") + 1);
  const segments = stands.split("/").slice(0, -1);
  return { path: join(base, ...segments.flatMap((segment) => namesOf(segment, ""))), stands };
}

/** What an entry of the directory for keys that start with `stands` is; undefined for what is not ours. */
export function readEntry(stands: string, name: string): { object: boolean; stands: string } | undefined {
  const [, escaped, mark] = ENTRY.exec(name) ?? [];
  if (escaped === undefined) return undefined;
  try {
    const text = stands + decodeURIComponent(escaped);
    return { object: mark === OBJECT, stands: mark === "" ? `${text}/` : text };
  } catch {
    return undefined;
  }
}

function namesOf(segment: string, mark: string): string[] {
  const pieces = piecesOf(segment).map(escape);
  return pieces.map((piece, index) => piece + (index === pieces.length - 1 ? mark : CONTINUED));
}

/** Depends on the segment alone: every process must find the same place. */
function piecesOf(segment: string): string[] {
  const shared = COUNTER.test(segment) ? COUNTER_SHARED : RANDOM_ID.test(segment) ? RANDOM_SHARED : 0;
  const pieces = shared > 0 ? [segment.slice(0, shared)] : [];
  let piece = "";
  let bytes = 0;
  for (const character of segment.slice(shared)) {
    const size = escape(character).length;
    if (bytes + size > NAME_BYTES_MAX) {
      pieces.push(piece);
      piece = "";
      bytes = 0;
    }
    piece += character;
    bytes += size;
  }
  if (piece !== "") pieces.push(piece);
  return pieces;
}

function escape(text: string): string {
  return encodeURIComponent(text).replace(/%[0-9A-F]{2}|[A-Z!'()*~]|^\./g, (found) =>
    found.length === 3 ? found : `%${found.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
