import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { storagePrefix, sweptKey } from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";
import type { Pin } from "../../shared/protocol/points.ts";
import type { Clock } from "../replication/clock.ts";
import { parallel } from "../replication/parallel.ts";
import type { TenantObject, TenantObjects } from "../replication/tenant-objects.ts";
import { noteDropped, readDropped } from "./dropped-uploads.ts";

/** Clocks of workers and of the store differ by less. */
const CLOCKS_MS = 24 * 60 * 60_000;

/** Which of these uploads (or thumbs of uploads) records name now; undefined when that cannot be told. */
export type NamedUploads = (keys: readonly string[]) => ReadonlySet<string> | undefined;

export interface UploadOwner {
  readonly tenant: TenantId;
  here(): boolean;
  namedUploads?: NamedUploads;
}

export interface UploadKeeperOptions {
  store: ObjectStore;
  clock: Clock;
  signal: AbortSignal;
  newNonce: () => string;
}

/** Uploads that no record names: found, kept while a point or a branch may name them, then given to be condemned. */
export class UploadKeeper {
  readonly #options: UploadKeeperOptions;
  readonly counters = { sweeps: 0, orphans: 0 };

  constructor(options: UploadKeeperOptions) {
    this.#options = options;
  }

  /** What may go now, and the records that said so. */
  async due(
    owner: UploadOwner,
    objects: TenantObjects,
    pins: readonly Pin[],
  ): Promise<{ keys: string[]; records: string[] }> {
    const { store, clock, signal } = this.#options;
    const nowMs = clock.nowMs();
    const due = objects.dropped.filter((one) => (dueMs(one, objects, pins) ?? Infinity) <= nowMs);
    if (due.length === 0 || owner.namedUploads === undefined) return { keys: [], records: [] };
    const read = ({ key }: TenantObject): Promise<readonly string[]> =>
      readDropped(store, owner.tenant, key, { signal });
    // Named and dropped again since: the younger record counts.
    const young = new Set(
      (
        await parallel(
          objects.dropped.filter((one) => !due.includes(one)),
          limits.restoreParallelGets,
          read,
        )
      ).flat(),
    );
    const keys: string[] = [];
    const records: string[] = [];
    for (const record of due) {
      const dropped = (await read(record)).filter((key) => !young.has(key));
      const named = owner.here() ? owner.namedUploads(dropped) : undefined;
      if (named === undefined) break;
      keys.push(...dropped.filter((key) => !named.has(key)));
      records.push(record.key);
    }
    return { keys, records };
  }

  /** When the next record is due, by the store's clock. */
  nextMs(objects: TenantObjects, pins: readonly Pin[]): number | undefined {
    const times = objects.dropped.flatMap((one) => dueMs(one, objects, pins) ?? []);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /**
   * Compares all uploads with what records name, at most once a day: what a crash or a replaced database left behind is noted as
   * dropped, and goes as everything else does. @param known - keys that are on their way already
   */
  async sweep(owner: UploadOwner, objects: TenantObjects, known: ReadonlySet<string>): Promise<void> {
    const { store, clock, signal, newNonce } = this.#options;
    const { tenant, namedUploads } = owner;
    const startedMs = clock.nowMs();
    if (namedUploads === undefined || objects.sweptMs + limits.uploadSweepMs > startedMs) return;
    this.counters.sweeps++;
    const dropped = new Set(known);
    for (const { key } of objects.dropped) {
      for (const one of await readDropped(store, tenant, key, { signal })) dropped.add(one);
    }
    let orphans: string[] = [];
    let page: string[] = [];
    const look = (): boolean => {
      const named = owner.here() ? namedUploads(page) : undefined;
      if (named === undefined) return false;
      orphans.push(...page.filter((key) => !named.has(key)));
      page = [];
      return true;
    };
    for await (const { key, modifiedMs } of listAll(store, { prefix: storagePrefix(tenant), signal })) {
      if (modifiedMs + limits.uploadOrphanMs > startedMs || dropped.has(key)) continue;
      page.push(key);
      if (page.length >= limits.storeListPage && !look()) return;
      if (orphans.length < limits.droppedKeysMax) continue;
      await noteDropped(store, tenant, orphans, { signal, newNonce });
      this.counters.orphans += orphans.length;
      orphans = [];
    }
    if (!look()) return;
    if (orphans.length > 0) await noteDropped(store, tenant, orphans, { signal, newNonce });
    this.counters.orphans += orphans.length;
    await store.put(sweptKey(tenant), new TextEncoder().encode("{}"), { signal });
  }
}

/** Undefined while a branch that began before needs what was dropped then. */
function dueMs(record: TenantObject, objects: TenantObjects, pins: readonly Pin[]): number | undefined {
  const isPinned = pins.some(({ point }) => Date.parse(point.at) <= record.modifiedMs + CLOCKS_MS);
  return isPinned ? undefined : Math.max(record.modifiedMs, objects.replacedMs) + limits.uploadKeepMs;
}

/** Of condemned keys those that may still go: no upload that is named again, or that was stored anew under its old name. */
export async function stillUnnamed(
  options: Pick<UploadKeeperOptions, "store" | "clock" | "signal">,
  owner: UploadOwner,
  keys: readonly string[],
): Promise<string[]> {
  const { store, clock, signal } = options;
  const prefix = storagePrefix(owner.tenant);
  const uploads = keys.filter((key) => key.startsWith(prefix));
  if (uploads.length === 0) return [...keys];
  const youngestMs = clock.nowMs() - limits.uploadOrphanMs;
  const old = new Set<string>();
  await parallel(uploads, limits.restoreParallelGets, async (key) => {
    const head = await store.head(key, { signal });
    if (head !== undefined && head.modifiedMs < youngestMs) old.add(key);
  });
  // Last, and without a pause before the deletion: an import names what it has stored.
  const named = owner.here() ? owner.namedUploads?.([...old]) : undefined;
  return keys.filter(
    (key) => !key.startsWith(prefix) || (named !== undefined && old.has(key) && !named.has(key)),
  );
}
