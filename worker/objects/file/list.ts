import { join } from "node:path";
import { limits } from "../../../shared/limits.ts";
import type { ListOptions, ListPage, ListedObject } from "../../../shared/objects/contract.ts";
import { compareKeys } from "../key.ts";
import { type Disk, unless } from "./disk.ts";
import { Heap } from "./heap.ts";
import { prefixDirectory, readEntry } from "./names.ts";
import { TRAILER_BYTES } from "./trailer.ts";

/** An object, or a directory that holds keys starting with `stands` (and none that sorts before it). */
interface Place {
  object: boolean;
  stands: string;
  path: string;
}

interface Found {
  key: string;
  /** Of the object's file; undefined for a folded prefix. */
  path: string | undefined;
}

/**
 * One page in byte order. Directories are opened smallest key first and only when the page reaches them, so the
 * cost is the page and the way to it, not the store. Undefined when not even the prefix's directory is there.
 */
export async function listPage(
  disk: Disk,
  base: string,
  options: ListOptions,
): Promise<ListPage | undefined> {
  const limit = Math.min(options.limit ?? limits.storeListPage, limits.storeListPage);
  if (/^\/|\/\//.test(options.prefix)) return { objects: [], prefixes: [] };
  const start = prefixDirectory(base, options.prefix);
  const first = await entriesOf(disk, start.path, start.stands);
  if (first === undefined) return undefined;

  const found: Found[] = [];
  for await (const one of walk(disk, first, options)) {
    found.push(one);
    if (found.length > limit) break;
  }
  const shown = found.slice(0, limit);
  const page: ListPage = {
    objects: await describe(disk, shown, options.signal),
    prefixes: shown.filter(({ path }) => path === undefined).map(({ key }) => key),
  };
  const last = shown.at(-1);
  if (found.length > limit && last !== undefined) page.next = last.key;
  return page;
}

async function* walk(disk: Disk, first: Place[], options: ListOptions): AsyncGenerator<Found> {
  const { prefix, startAfter = "", delimiter } = options;
  const places = new Heap<Place>((a, b) => compareKeys(a.stands, b.stands));
  const push = (place: Place): void => {
    if (mayHold(place, prefix, startAfter)) places.push(place);
  };
  first.forEach(push);
  let folded = delimiter !== undefined && startAfter.endsWith(delimiter) ? startAfter : undefined;
  for (let place = places.pop(); place !== undefined; place = places.pop()) {
    options.signal?.throwIfAborted();
    if (folded !== undefined && place.stands.startsWith(folded)) continue;
    if (!place.object) {
      for (const entry of (await entriesOf(disk, place.path, place.stands)) ?? []) push(entry);
      continue;
    }
    const cut = delimiter === undefined ? -1 : place.stands.indexOf(delimiter, prefix.length);
    if (cut < 0) {
      yield { key: place.stands, path: place.path };
    } else {
      folded = place.stands.slice(0, cut + (delimiter?.length ?? 0));
      yield { key: folded, path: undefined };
    }
  }
}

function mayHold(place: Place, prefix: string, startAfter: string): boolean {
  const { object, stands } = place;
  if (object) return stands.startsWith(prefix) && compareKeys(stands, startAfter) > 0;
  if (!stands.startsWith(prefix) && !prefix.startsWith(stands)) return false;
  return compareKeys(stands, startAfter) > 0 || startAfter.startsWith(stands);
}

async function entriesOf(disk: Disk, path: string, stands: string): Promise<Place[] | undefined> {
  const names = await unless(["ENOENT"], disk.readdir(path));
  if (names === undefined) return undefined;
  const places: Place[] = [];
  for (const name of names) {
    const entry = readEntry(stands, name);
    if (entry !== undefined) places.push({ ...entry, path: join(path, name) });
  }
  return places;
}

/** Objects that went away since they were seen are left out, as if the page had been asked for a moment later. */
async function describe(disk: Disk, found: readonly Found[], signal?: AbortSignal): Promise<ListedObject[]> {
  const listed: ListedObject[] = [];
  for (let at = 0; at < found.length; at += limits.storeParallelFileCalls) {
    signal?.throwIfAborted();
    const batch = found.slice(at, at + limits.storeParallelFileCalls).map(async ({ key, path }) => {
      const stat = path === undefined ? undefined : await unless(["ENOENT"], disk.stat(path));
      return stat && { key, size: stat.size - TRAILER_BYTES, modifiedMs: Math.floor(stat.mtimeMs) };
    });
    for (const one of await Promise.all(batch)) if (one !== undefined) listed.push(one);
  }
  return listed;
}
