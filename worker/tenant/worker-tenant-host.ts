import { rmSync } from "node:fs";
import { SystemError } from "../../shared/errors.ts";
import { type DatabaseName, type Epoch, type LogSeq, type TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { replacedKey } from "../../shared/objects/layout.ts";
import type { Assignment, CarriedState, ExitRequest, Positions } from "../../shared/protocol/internal.ts";
import { bulkThreads } from "../replication/bulk/threads.ts";
import { fencedError } from "../replication/log-writer.ts";
import { parallel } from "../replication/parallel.ts";
import { type RestoredDatabase, restoreTenant } from "../replication/restore.ts";
import type { Observation, Tenant } from "./contract.ts";
import { higherOf } from "./floor.ts";
import { hostMetrics } from "./host-metrics.ts";
import { leaveDirectory, tenantDirectory } from "./directories.ts";
import type { TenantHost, TenantHostOptions } from "./host.ts";
import { LoadedTenant, leavingError, inTime, stoppedError } from "./loaded-tenant.ts";
import { Lanes } from "./lanes.ts";
import type { RequestObservation } from "./observation.ts";
import { replaceDatabases } from "./replace.ts";
import { type Entry, notOwner } from "./tenant-entry.ts";
import { type HostParts, createHostParts } from "./host-parts.ts";
import { lastState } from "../state/last-state.ts";

export class WorkerTenantHost implements TenantHost {
  readonly #options: TenantHostOptions;
  readonly #parts: HostParts;
  readonly #entries = new Map<TenantId, Entry>();
  readonly #fenced = new AbortController();
  /** Ends loads and background work: fenced, abandoned, or stopped. */
  readonly #ended = new AbortController();
  /** After a takeover of many: the first ones serve while the last ones wait, instead of all at the end. */
  readonly #loads = new Lanes(limits.tenantLoadsParallel);
  #stopping = false;
  /** Nobody writes under a released epoch again. */
  readonly #releasedEpochs = new Map<TenantId, Epoch>();
  readonly #counts = { loads: 0, created: 0, restores: 0, reused: 0, seals: 0, releases: 0, lost: 0 };

  constructor(options: TenantHostOptions) {
    this.#options = options;
    this.#parts = createHostParts(options, this.#ended.signal, {
      lose: (tenant, error) => this.#lose(tenant, error),
      fenced: () => this.#end(fencedError()),
      replace: (tenant, seen, files) => this.#replace(tenant, seen, files),
    });
  }

  get size(): number {
    let size = 0;
    for (const { tenant } of this.#entries.values())
      if (tenant !== undefined && tenant.lost === undefined) size++;
    return size;
  }

  get durableSeq(): LogSeq {
    return this.#parts.writer.durableSeq;
  }

  get fenced(): AbortSignal {
    return this.#fenced.signal;
  }

  acquire(id: TenantId, epoch: Epoch): Tenant | Promise<Tenant> {
    this.#checkAlive();
    const tenant = this.#entries.get(id)?.tenant;
    if (tenant?.epoch === epoch && tenant.ready && tenant.lost === undefined && !tenant.leaving)
      return tenant;
    if (this.#stopping) throw leavingError(id);
    return this.#acquireLater(id, epoch);
  }

  async flush(id: TenantId, epoch: Epoch): Promise<Positions> {
    this.#checkAlive();
    const tenant = this.#entries.get(id)?.tenant;
    if (tenant?.epoch !== epoch || !tenant.ready || tenant.lost !== undefined) {
      throw notOwner(id, this.#options.incarnation, tenant?.epoch);
    }
    await this.#parts.prefixes.flush(tenant);
    return tenant.base();
  }

  async prewarm(assignment: Assignment): Promise<void> {
    this.#checkAlive();
    const { tenant } = assignment;
    if (this.#stopping || this.#entries.has(tenant)) throw leavingError(tenant);
    await this.#parts.prewarmed.fetch(assignment);
  }

  async release(id: TenantId): Promise<Positions> {
    const entry = this.#entries.get(id);
    if (entry?.busy !== undefined) await entry.busy.catch(() => {});
    const tenant = this.#entries.get(id)?.tenant;
    if (entry === undefined || tenant === undefined) throw notOwner(id, this.#options.incarnation);
    return this.#exclusively(entry, () => this.#depart(entry, tenant));
  }

  carriedBy(tenant: Tenant): { carried?: CarriedState } {
    return tenant instanceof LoadedTenant ? tenant.carried.collect() : {};
  }

  async stop(): Promise<ExitRequest> {
    this.#checkAlive();
    this.#stopping = true;
    const ids = [...this.#entries.keys()];
    const released = await parallel(ids, limits.tenantReleasesParallel, async (id) => {
      const entry = this.#entries.get(id);
      await entry?.busy?.catch(() => {});
      const tenant = this.#entries.get(id)?.tenant;
      // A tenant that was lost stays a tail of this log: its next owner reads what is durable from there.
      if (entry === undefined || tenant === undefined || tenant.lost !== undefined) return undefined;
      const { epoch } = tenant;
      try {
        const base = await this.#exclusively(entry, () => this.#depart(entry, tenant));
        return { tenant: id, epoch, base, ...tenant.due, ...tenant.carried.collect() };
      } catch (error) {
        this.#lose(tenant, error);
        return undefined;
      }
    });
    const endSeq = await this.#parts.writer.seal();
    this.#counts.seals++;
    this.#end(stoppedError());
    return { endSeq, released: released.filter((one) => one !== undefined) };
  }

  isClearing(id: TenantId): boolean {
    return this.#parts.background.condemned.waits(id);
  }

  abandon(): void {
    this.#end(fencedError());
  }

  metrics(): Record<string, number> {
    const loaded = [...this.#entries.values()].flatMap(({ tenant }) =>
      tenant === undefined || tenant.lost !== undefined ? [] : [tenant],
    );
    return hostMetrics({
      clock: this.#parts.clock,
      counts: this.#counts,
      bounds: this.#parts.bounds,
      awake: this.#parts.awake,
      readers: this.#parts.readers,
      secondaries: this.#parts.secondaries,
      writer: this.#parts.writer,
      gate: this.#parts.gate,
      materialiser: this.#parts.materialiser,
      background: this.#parts.background,
      prewarmed: this.#parts.prewarmed.counts,
      loaded,
    });
  }

  async #acquireLater(id: TenantId, epoch: Epoch): Promise<Tenant> {
    const entry = this.#entries.get(id);
    if (entry?.loading !== undefined && entry.loading.epoch === epoch)
      return inTime(this.#parts.clock, entry.loading.promise);
    if (entry?.busy !== undefined) {
      await inTime(
        this.#parts.clock,
        entry.busy.catch(() => {}),
      );
      return this.acquire(id, epoch);
    }
    const tenant = entry?.tenant;
    if (tenant !== undefined && tenant.epoch > epoch)
      throw notOwner(id, this.#options.incarnation, tenant.epoch);
    if (entry === undefined && this.#entries.size >= this.#parts.bounds.tenants) {
      throw new SystemError("overloaded", `Cannot load tenant ${id}: this worker is full`, {
        retryAfterMs: 1_000,
      });
    }
    const own: Entry = entry ?? {
      ...{ tenant: undefined, busy: undefined, loading: undefined, resume: undefined },
      keys: undefined,
    };
    this.#entries.set(id, own);
    const promise = this.#exclusively(own, () => this.#loads.run(() => this.#load(own, id, epoch)));
    own.loading = { epoch, promise };
    const done = (): void => {
      if (own.loading?.promise === promise) own.loading = undefined;
      if (own.tenant === undefined && own.busy === undefined && own.resume === undefined) {
        own.keys?.close();
        this.#entries.delete(id);
      }
    };
    promise.then(done, done);
    return inTime(this.#parts.clock, promise);
  }

  /** Loads and departures of one tenant never overlap. */
  #exclusively<T>(entry: Entry, work: () => Promise<T>): Promise<T> {
    const before = entry.busy;
    const promise = (before === undefined ? work() : before.then(work, work)).finally(() => {
      if (entry.busy === promise) entry.busy = undefined;
    });
    entry.busy = promise;
    return promise;
  }

  async #load(entry: Entry, id: TenantId, epoch: Epoch): Promise<LoadedTenant> {
    const { signal } = this.#ended;
    const assignment = await this.#options.control.assignment(id, signal);
    this.#checkAlive();
    const mine = assignment?.incarnation === this.#options.incarnation && assignment.epoch === epoch;
    if (!mine || epoch <= (this.#releasedEpochs.get(id) ?? 0)) {
      throw notOwner(id, this.#options.incarnation, entry.tenant?.epoch);
    }
    await this.#leaveForReload(entry);
    const chains = entry.resume?.epoch === epoch ? entry.resume.chains : new Map<DatabaseName, string>();
    const directory = tenantDirectory(this.#parts.directory, id);
    const startedMs = this.#parts.clock.monotonicMs();
    const lease = await this.#parts.keys.open(assignment, signal);
    entry.keys?.close();
    entry.keys = lease;
    this.#checkAlive();
    const kept = this.#parts.copies.take(assignment, directory);
    const carried = this.#carriedTo(entry, assignment);
    const restored =
      kept === undefined
        ? ((await this.#parts.prewarmed.take(assignment, directory)) ??
          (await restoreTenant({
            store: this.#parts.store,
            logs: this.#parts.logs,
            assignment: { ...assignment, base: higherOf(assignment.base, entry.resume?.positions) },
            directory,
            clock: this.#parts.clock,
            signal,
            work: this.#options.bulkWork,
          })))
        : undefined;
    this.#checkAlive();
    const loadedMs = this.#parts.clock.monotonicMs();
    const databases = restored?.databases ?? kept?.databases ?? new Map<DatabaseName, RestoredDatabase>();
    // The load has read all that is there of the tenant: without a key that was nothing.
    await lease.create(signal);
    const given = { ...assignment, carried: await carried };
    this.#checkAlive();
    const tenant = new LoadedTenant(this.#parts.home, given, { databases }, directory, chains);
    try {
      tenant.database(tenant.data.name).open();
      entry.tenant = tenant;
      this.#counts.loads++;
      if (databases.size === 0) this.#counts.created++;
      if (kept !== undefined) this.#counts.reused++;
      else if (databases.size > 0) {
        this.#counts.restores++;
        this.#options.observer?.restored(loadedMs - startedMs);
      }
      await this.#options.bootstrap(tenant);
      tenant.checkHere();
      tenant.database(tenant.data.name).rest();
      tenant.ready = true;
    } catch (error) {
      this.#lose(tenant, error);
      throw error;
    }
    this.#parts.states.loaded(tenant);
    this.#parts.reports.serving(tenant);
    if (restored === undefined) this.#parts.prefixes.resumed(tenant, kept?.maintainAtMs);
    else this.#parts.prefixes.loaded(tenant, restored.chains);
    // Lent for what is due, and perhaps not for long.
    if ((assignment.dueMs ?? Infinity) <= tenant.clock.nowMs()) this.#parts.prefixes.maintain(tenant);
    return tenant;
  }

  /** The small values that it comes with. */
  #carriedTo(
    { resume }: Entry,
    assignment: Assignment,
  ): CarriedState | undefined | Promise<CarriedState | undefined> {
    // It was here under this epoch or the one before: nobody else has had it since.
    if (resume !== undefined && assignment.epoch - resume.epoch <= 1) return resume.carried;
    if (assignment.tails.length === 0) return assignment.carried;
    const { logs, clock } = this.#parts;
    const { signal } = this.#ended;
    const warned = (error: SystemError): void => this.#options.onError?.(error, assignment.tenant);
    return lastState({ logs, assignment, clock, signal, warned });
  }

  /**
   * A tenant that is still here under an older epoch, or was lost under this one: all that is durable of it goes under the prefix,
   * and where that ends is remembered.
   */
  async #leaveForReload(entry: Entry): Promise<void> {
    const { tenant } = entry;
    if (tenant === undefined) return;
    if (tenant.lost === undefined) {
      await this.#settle(tenant);
      tenant.lose(leavingError(tenant.id));
    } else {
      // What was cut before it was lost goes into the log first: its TXIDs must not be given out twice.
      while (this.#parts.queue.isPending(tenant)) await this.#parts.writer.prove();
      await this.#parts.prefixes.flush(tenant);
    }
    const { carried } = tenant.carried.collect();
    entry.resume = { epoch: tenant.epoch, carried, ...tenant.resumable() };
    this.#parts.queue.forget(tenant);
    this.#parts.prefixes.left(tenant);
    entry.tenant = undefined;
  }

  async #depart(entry: Entry, tenant: LoadedTenant): Promise<Positions> {
    tenant.checkHere();
    try {
      await this.#settle(tenant);
    } catch (error) {
      // It has not left: whoever comes must not wait for a lock that nobody gives back.
      tenant.stay();
      throw error;
    }
    const base = tenant.base();
    const maintainAtMs = this.#parts.prefixes.maintainAtMs(tenant);
    if (maintainAtMs !== undefined) {
      // Told with the release: control lends it for one load then, unless somebody else loads it before.
      const loadAtMs = Math.max(maintainAtMs, tenant.clock.nowMs() + limits.maintenanceLoadAfterMs);
      tenant.wakeAt(Math.ceil(Math.min(tenant.dueMs ?? Infinity, loadAtMs)));
    }
    tenant.lose(
      new SystemError("tenant_moving", `Cannot serve tenant ${tenant.id}: it has left this worker`, {
        retryAfterMs: 1_000,
      }),
    );
    this.#parts.queue.forget(tenant);
    this.#parts.states.forget(tenant);
    this.#parts.prefixes.left(tenant);
    this.#parts.reports.forget(tenant.id);
    entry.tenant = undefined;
    entry.keys?.close();
    this.#entries.delete(tenant.id);
    this.#releasedEpochs.set(tenant.id, tenant.epoch);
    this.#counts.releases++;
    const { incarnation } = this.#options;
    // What is left of an encrypted tenant when it has gone is sealed.
    const keeps = this.#stopping && !tenant.encrypted;
    if (keeps) this.#parts.copies.keep(tenant, { incarnation, maintainAtMs });
    else rmSync(tenant.directory, { recursive: true, force: true });
    return base;
  }

  /** No more writes; everything logged with RELEASE, durable, and under the prefix. */
  async #settle(tenant: LoadedTenant): Promise<void> {
    await tenant.drain();
    await this.#parts.queue.release(tenant);
    await this.#parts.prefixes.flush(tenant);
  }

  async #replace(
    tenant: LoadedTenant,
    seen: Observation,
    files: ReadonlyMap<DatabaseName, string>,
  ): Promise<void> {
    // What was dropped until now may be named again, or have been until now: it is kept as long anew.
    const marked = new TextEncoder().encode("{}");
    await this.#parts.store.put(replacedKey(tenant.id), marked, { signal: tenant.gone });
    await replaceDatabases(tenant, this.#parts.queue, seen as RequestObservation, files, {
      work: this.#options.bulkWork ?? bulkThreads(),
      broken: (error) => this.#lose(tenant, error),
    });
    await this.#options.bootstrap(tenant);
  }

  /** A broken invariant stops the tenant, not the process; what is durable of it is loaded again at the next request. */
  #lose(tenant: LoadedTenant, error: unknown): void {
    if (tenant.lost !== undefined) return;
    this.#counts.lost++;
    this.#parts.prefixes.left(tenant);
    this.#parts.queue.forget(tenant);
    tenant.lose(
      error instanceof SystemError
        ? error
        : new SystemError(
            "tenant_stopped",
            `Cannot go on with tenant ${tenant.id}: it was stopped after a failure`,
            {
              cause: error,
              retryAfterMs: 1_000,
            },
          ),
    );
    this.#options.onError?.(error, tenant.id);
  }

  #end(reason: SystemError): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort(reason);
    this.#parts.writer.abandon();
    this.#parts.materialiser.close();
    this.#parts.background.close();
    this.#parts.reports.close();
    this.#parts.states.close();
    for (const { tenant } of this.#entries.values()) tenant?.lose(reason);
    this.#entries.clear();
    this.#parts.keys.close();
    leaveDirectory(this.#parts.directory);
    if (reason.code === "fenced") this.#fenced.abort(reason);
  }

  #checkAlive(): void {
    if (this.#ended.signal.aborted) throw this.#ended.signal.reason as SystemError;
  }
}
