import { UserError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";
import type { ListOptions, ListPage, ListedObject, ObjectStore } from "../../shared/objects/contract.ts";
import { storagePrefix } from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";
import type { Origin } from "../../shared/protocol/internal.ts";

/**
 * The store as a branch sees it: an upload that is not under its own prefix is its origin's, a listing has both. Everything is written
 * and deleted under its own prefix only, so an origin never changes by what a branch does.
 */
export function branchStore(store: ObjectStore, branch: TenantId, origin: Origin): ObjectStore {
  const own = storagePrefix(branch);
  const theirs = storagePrefix(origin.tenant);
  const there = (key: string): string | undefined =>
    key.startsWith(own) ? theirs + key.slice(own.length) : undefined;

  /** The branch's own object, else the origin's. */
  async function first<T>(
    key: string,
    read: (key: string) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const found = await read(key);
    const elsewhere = found === undefined ? there(key) : undefined;
    return elsewhere === undefined ? found : read(elsewhere);
  }

  return {
    kind: store.kind,
    description: store.description,
    putIfAbsent: (key, body, options) => store.putIfAbsent(key, body, options),
    put: (key, body, options) => store.put(key, body, options),
    get: (key, options) => first(key, (one) => store.get(one, options)),
    range: (key, range, options) => first(key, (one) => store.range(one, range, options)),
    async head(key, options) {
      const found = await first(key, (one) => store.head(one, options));
      return found === undefined ? undefined : { ...found, key };
    },
    list(options) {
      const prefix = there(options.prefix);
      return prefix === undefined ? store.list(options) : listBoth(store, options, { own, theirs });
    },
    delete: (keys, options) => store.delete(keys, options),
    async copy(from, to, options) {
      const elsewhere = there(from);
      if (elsewhere === undefined || (await store.head(from, options)) !== undefined) {
        return store.copy(from, to, options);
      }
      // Sealed objects are bound to their tenant's key.
      if (!origin.encrypted) return store.copy(elsewhere, to, options);
      const found = await store.get(elsewhere, options);
      if (found === undefined)
        throw new UserError("not_found", `Cannot copy ${from}: there is no such object`);
      await store.put(to, { stream: found.stream, length: found.size }, options);
    },
    async thaw(key, days, options) {
      const isOwn = there(key) === undefined || (await store.head(key, options)) !== undefined;
      if (!isOwn)
        throw new UserError("not_found", "Cannot thaw an upload of a branch: detach the branch first");
      return store.thaw(key, days, options);
    },
    close: () => store.close(),
  };
}

/** One page of the union, under the branch's names. What both have is the branch's. */
async function listBoth(
  store: ObjectStore,
  options: ListOptions,
  { own, theirs }: { own: string; theirs: string },
): Promise<ListPage> {
  const renamed = (name: string, from: string, to: string): string => to + name.slice(from.length);
  const [mine, others] = await Promise.all([
    store.list(options),
    store.list({
      ...options,
      prefix: renamed(options.prefix, own, theirs),
      ...(options.startAfter === undefined ? {} : { startAfter: renamed(options.startAfter, own, theirs) }),
    }),
  ]);
  const objects = new Map<string, ListedObject>();
  for (const one of others.objects) {
    const key = renamed(one.key, theirs, own);
    objects.set(key, { ...one, key });
  }
  for (const one of mine.objects) objects.set(one.key, one);
  const prefixes = new Set([...mine.prefixes, ...others.prefixes.map((name) => renamed(name, theirs, own))]);
  // Beyond the end of either page the other one's names are not all known.
  const otherNext = others.next === undefined ? undefined : renamed(others.next, theirs, own);
  const ends = [mine.next, otherNext].filter((next) => next !== undefined);
  const end = ends.length === 0 ? undefined : ends.reduce((a, b) => (lessThan(a, b) ? a : b));
  const isIn = (name: string): boolean => end === undefined || !lessThan(end, name);
  return {
    objects: [...objects.values()].filter(({ key }) => isIn(key)).toSorted((a, b) => order(a.key, b.key)),
    prefixes: [...prefixes].filter(isIn).toSorted(order),
    ...(end === undefined ? {} : { next: end }),
  };
}

/** Uploads of the origin that the branch has not got itself, in order. */
export async function* onlyInOrigin(
  store: ObjectStore,
  branch: TenantId,
  origin: TenantId,
  signal: AbortSignal,
): AsyncGenerator<{ from: string; to: string; size: number; modifiedMs: number }> {
  const [own, theirs] = [storagePrefix(branch), storagePrefix(origin)];
  const mine = listAll(store, { prefix: own, signal });
  let at = await mine.next();
  for await (const { key, size, modifiedMs } of listAll(store, { prefix: theirs, signal })) {
    const to = own + key.slice(theirs.length);
    while (at.done !== true && lessThan(at.value.key, to)) at = await mine.next();
    if (at.done !== true && at.value.key === to) continue;
    yield { from: key, to, size, modifiedMs };
  }
}

/** By bytes of UTF-8, as stores list: by code points, which strings do not compare by. */
function order(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

const lessThan = (a: string, b: string): boolean => order(a, b) < 0;
