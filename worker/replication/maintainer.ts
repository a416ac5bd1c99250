import type { DatabaseName } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { storagePrefix } from "../../shared/objects/layout.ts";
import type { Pin } from "../../shared/protocol/points.ts";
import { readPin } from "../points/pins.ts";
import type { UploadKeeper, UploadOwner } from "../points/upload-keeper.ts";
import type { Bulk } from "./bulk/work.ts";
import { type ChainFile, isSnapshot, planChain } from "./chain.ts";
import type { Clock } from "./clock.ts";
import { compact } from "./compact.ts";
import type { Condemned, CondemnedOwner } from "./condemned.ts";
import { type DatabaseLedger, chainStats } from "./ledger.ts";
import {
  type Waiting,
  deletionVisitMs,
  nextCompactionMs,
  planCompactions,
  planRetention,
} from "./maintenance-plan.ts";
import { parallel } from "./parallel.ts";
import {
  type BundleFile,
  type TenantObject,
  type TenantObjects,
  listTenantObjects,
} from "./tenant-objects.ts";
import { WorkTimer } from "./work-timer.ts";

/** A tenant whose objects are to be kept few. */
export interface MaintenanceTarget extends CondemnedOwner, UploadOwner {
  readonly tenant: CondemnedOwner["tenant"];
  here(): boolean;
  ledger(database: DatabaseName): DatabaseLedger | undefined;
  /** Large objects that an entry which is not under the prefix needs; undefined when that is not known now. */
  neededLarge(): ReadonlySet<string> | undefined;
  failed(error: unknown): void;
}

export interface MaintainerOptions {
  store: ObjectStore;
  clock: Clock;
  /** Ends everything. */
  signal: AbortSignal;
  condemned: Condemned;
  uploads: UploadKeeper;
  bulk: Bulk;
}

/**
 * Compacts and clears tenants' prefixes, by one worklist: a tenant stands in it only while something of it will be due, and
 * that follows from its last change. So an idle tenant costs nothing once its last change has been worked in.
 */
export class Maintainer {
  readonly #options: MaintainerOptions;
  readonly #timer: WorkTimer;
  /** Monotonic times of the next visit. */
  readonly #due = new Map<MaintenanceTarget, number>();
  readonly #visiting = new Set<MaintenanceTarget>();
  /** What looks at a tenant's objects and decides on them, one after the other. */
  readonly #turns = new WeakMap<MaintenanceTarget, Promise<unknown>>();
  readonly counters = { visits: 0, compactions: 0, failures: 0 };

  constructor(options: MaintainerOptions) {
    this.#options = options;
    this.#timer = new WorkTimer(options.clock, () => this.#start());
  }

  /** Tenants that stand in the worklist. */
  get waiting(): number {
    return this.#due.size;
  }

  /** Something new is under its prefix. */
  changed(target: MaintenanceTarget): void {
    const dueMs = this.#options.clock.monotonicMs() + limits.compactAfterMs;
    if (dueMs < (this.#due.get(target) ?? Infinity)) this.#schedule(target, dueMs);
  }

  /** What its load found: work that an earlier owner has left. */
  loaded(target: MaintenanceTarget, chains: ReadonlyMap<DatabaseName, readonly ChainFile[]>): void {
    this.#scheduleNext(target, nextMs({ chains, bundles: [], large: [] }), limits.maintenanceRetryMs);
  }

  /** As `loaded`, when the time is known from before. @param atMs - wall clock */
  resumed(target: MaintenanceTarget, atMs: number): void {
    this.#scheduleNext(target, atMs, limits.maintenanceRetryMs);
  }

  /** It was loaded because it is due: the load did not look at everything that may be. */
  due(target: MaintenanceTarget): void {
    this.#schedule(target, this.#options.clock.monotonicMs());
  }

  /** When it is due, by the wall clock. */
  dueAtMs(target: MaintenanceTarget): number | undefined {
    const { clock } = this.#options;
    const dueMs = this.#due.get(target);
    return dueMs === undefined ? undefined : clock.nowMs() + dueMs - clock.monotonicMs();
  }

  /** Runs when no visit of the tenant does, and keeps them out: nothing is condemned meanwhile. */
  undisturbed<T>(target: MaintenanceTarget, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(target) ?? Promise.resolve()).then(work, work);
    this.#turns.set(target, turn);
    return turn;
  }

  forget(target: MaintenanceTarget): void {
    this.#due.delete(target);
  }

  close(): void {
    this.#timer.stop();
    this.#due.clear();
  }

  #schedule(target: MaintenanceTarget, dueMs: number): void {
    this.#due.set(target, dueMs);
    this.#timer.by(dueMs);
  }

  /** @param atMs - wall clock, of the store's times */
  #scheduleNext(target: MaintenanceTarget, atMs: number | undefined, leastMs: number): void {
    if (atMs === undefined || !target.here()) return;
    const { clock } = this.#options;
    this.#schedule(target, clock.monotonicMs() + Math.max(leastMs, atMs - clock.nowMs()));
  }

  #start(): void {
    const { clock, signal } = this.#options;
    if (signal.aborted) return;
    const nowMs = clock.monotonicMs();
    let next = Infinity;
    for (const [target, dueMs] of this.#due) {
      if (dueMs > nowMs || this.#visiting.size >= limits.maintainParallel) {
        next = Math.min(next, dueMs);
        continue;
      }
      this.#due.delete(target);
      this.#visiting.add(target);
      void this.#visit(target).finally(() => {
        this.#visiting.delete(target);
        this.#start();
      });
    }
    // With all lanes taken the next one is started by the end of a visit.
    if (next > nowMs) this.#timer.by(next);
  }

  async #visit(target: MaintenanceTarget): Promise<void> {
    const { signal } = this.#options;
    if (!target.here()) return;
    this.counters.visits++;
    try {
      const next = await this.undisturbed(target, () => this.#work(target));
      this.#scheduleNext(target, next, limits.maintenanceRetryMs);
    } catch (error) {
      if (signal.aborted || !target.here()) return;
      this.counters.failures++;
      target.failed(error);
      this.#scheduleNext(target, this.#options.clock.nowMs(), limits.maintenanceRetryMs);
    }
  }

  /** @returns when something more is due, by the wall clock */
  async #work(target: MaintenanceTarget): Promise<number | undefined> {
    const { store, clock, signal, condemned, uploads } = this.#options;
    if (!target.here()) return undefined;
    const objects = await listTenantObjects(store, target.tenant, { signal });
    const pins = await this.#pins(objects);
    const pinned = new Set(pins.flatMap((pin) => pin.keys));
    const gone = await this.#announced(target, objects);
    const large = this.#unneededLarge(target, objects);
    await uploads.sweep(target, objects, gone.keys);
    const dropped = await uploads.due(target, objects, pins);
    const keys = new Set([...gone.adopted, ...dropped.keys]);
    const waiting: Waiting[] = objects.bundles.filter(({ key }) => !gone.keys.has(key)).map(waitingBundle);
    for (const [database, files] of objects.chains) {
      const kept = files.filter(({ key }) => !gone.keys.has(key));
      objects.chains.set(database, kept);
      // A branch that has no snapshot of its own yet: its files lead on from another tenant's.
      if (!kept.some(isSnapshot)) continue;
      const ledger = target.ledger(database);
      const before = ledger?.materialised.txid;
      await this.#compact(target, database, kept);
      if (!target.here()) return undefined;
      waiting.push(...waitingFiles(kept));
      // Only if nothing came under the prefix since the listing.
      if (ledger !== undefined && ledger.materialised.txid === before) {
        ledger.compacted(chainStats(planChain(kept)));
      }
    }
    const nowMs = clock.nowMs();
    for (const { key, modifiedMs } of large) {
      if (modifiedMs + limits.largeKeepMs <= nowMs) keys.add(key);
    }
    const free = waiting.filter(({ key }) => !pinned.has(key));
    // All that is due goes with what goes anyway.
    if (keys.size > 0 || (deletionVisitMs(free) ?? Infinity) <= nowMs) {
      for (const { key, atMs } of free) if (atMs <= nowMs) keys.add(key);
    }
    const isLeft = ({ key }: { key: string }): boolean => !keys.has(key) && !gone.keys.has(key);
    for (const [database, files] of objects.chains) objects.chains.set(database, files.filter(isLeft));
    const fresh = [...keys].filter(
      (key) => !pinned.has(key) && (gone.adopted.has(key) || !gone.keys.has(key)),
    );
    const records = [...gone.records, ...dropped.records];
    if (fresh.length > 0 && target.here()) await condemned.condemn(target, fresh, records);
    else if (records.length > 0 && target.here()) await store.delete(records, { signal });
    const next = nextMs(
      { chains: objects.chains, bundles: objects.bundles.filter(isLeft), large: large.filter(isLeft) },
      pinned,
    );
    const nextDropped = uploads.nextMs(
      { ...objects, dropped: objects.dropped.filter(({ key }) => !dropped.records.includes(key)) },
      pins,
    );
    return earliest(next, nextDropped);
  }

  async #pins(objects: TenantObjects): Promise<Pin[]> {
    const { store, signal } = this.#options;
    const pins = await parallel(objects.pins, limits.restoreParallelGets, ({ key }) =>
      readPin(store, key, { signal }),
    );
    return pins.filter((pin) => pin !== undefined);
  }

  async #compact(target: MaintenanceTarget, database: DatabaseName, files: ChainFile[]): Promise<void> {
    for (const level of [2, 3] as const) {
      for (const compaction of planCompactions(files, level, this.#options.clock.nowMs())) {
        if (!target.here()) return;
        files.push(...(await compact(this.#options, target.tenant, database, compaction)));
        this.counters.compactions++;
      }
    }
  }

  /** What is condemned already: by this worker, or by an earlier owner, whose records are condemned anew. */
  async #announced(
    target: MaintenanceTarget,
    { condemned: records, ...objects }: TenantObjects,
  ): Promise<{ keys: Set<string>; adopted: Set<string>; records: string[] }> {
    const { condemned } = this.#options;
    const uploads = storagePrefix(target.tenant);
    const there = new Set([
      ...[...objects.chains.values()].flat().map(({ key }) => key),
      ...[...objects.bundles, ...objects.large].map(({ key }) => key),
    ]);
    const found = { keys: new Set<string>(), adopted: new Set<string>(), records: [] as string[] };
    for (const { key: record } of records) {
      const known = condemned.known(record);
      const own = known !== undefined;
      if (!own) found.records.push(record);
      for (const key of known ?? (await condemned.read(target.tenant, record))) {
        found.keys.add(key);
        // Uploads were not listed; for one that is gone another deletion is harmless.
        if (!own && (there.has(key) || key.startsWith(uploads))) found.adopted.add(key);
      }
    }
    return found;
  }

  #unneededLarge(target: MaintenanceTarget, { large }: TenantObjects): TenantObject[] {
    const needed = target.neededLarge();
    return needed === undefined ? [] : large.filter(({ key }) => !needed.has(key));
  }
}

/** When the next object of a tenant is due for something, by the store's clock; what a branch reads never is. */
function nextMs(
  {
    chains,
    bundles,
    large,
  }: Pick<TenantObjects, "bundles" | "large"> & {
    chains: ReadonlyMap<DatabaseName, readonly ChainFile[]>;
  },
  pinned: ReadonlySet<string> = new Set(),
): number | undefined {
  const times = large.map(({ modifiedMs }) => modifiedMs + limits.largeKeepMs);
  const waiting = bundles.map(waitingBundle);
  for (const files of chains.values()) {
    if (!files.some(isSnapshot)) continue;
    const compaction = nextCompactionMs(files);
    if (compaction !== undefined) times.push(compaction);
    waiting.push(...waitingFiles(files));
  }
  const deletionMs = deletionVisitMs(waiting.filter(({ key }) => !pinned.has(key)));
  if (deletionMs !== undefined) times.push(deletionMs);
  return times.length === 0 ? undefined : Math.min(...times);
}

const waitingBundle = ({ key, modifiedMs, size }: BundleFile): Waiting => ({
  key,
  atMs: modifiedMs + limits.bundleKeepMs,
  size,
});

function waitingFiles(files: readonly ChainFile[]): Waiting[] {
  const sizes = new Map(files.map(({ key, size }) => [key, size]));
  return planRetention(files).map(({ key, atMs }) => ({ key, atMs, size: sizes.get(key) ?? 0 }));
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
