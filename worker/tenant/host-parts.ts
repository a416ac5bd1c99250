import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type LogSeq, randomText } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { encryptedStore } from "../encryption/encrypted-store.ts";
import { entryCiphers } from "../encryption/entry-ciphers.ts";
import { TenantKeys } from "../encryption/tenant-keys.ts";
import { bulkThreads } from "../replication/bulk/threads.ts";
import type { Bulk } from "../replication/bulk/work.ts";
import { type Clock, systemClock } from "../replication/clock.ts";
import { OutputGate } from "../replication/gate.ts";
import { stillUnnamed } from "../points/upload-keeper.ts";
import { LogWriter } from "../replication/log-writer.ts";
import { catchUp } from "../replication/catch-up.ts";
import { Materialiser } from "../replication/materialise.ts";
import { restoreTenant } from "../replication/restore.ts";
import { SealedLogs } from "../replication/sealed-log.ts";
import { StateLog } from "../state/state-log.ts";
import { type Background, createBackground } from "./background.ts";
import { CleanCopies } from "./clean-copy.ts";
import { type OpenBounds, descriptorLimit, openBounds } from "./descriptors.ts";
import { IdleLru } from "./idle-lru.ts";
import { claimDirectory } from "./directories.ts";
import type { TenantHostOptions } from "./host.ts";
import { LoadedTenant, type TenantHome } from "./loaded-tenant.ts";
import { LogQueue } from "./log-queue.ts";
import { Prewarmed } from "./prewarmed.ts";
import { ReportQueue } from "./reports.ts";
import { LoadedHistory } from "./tenant-history.ts";
import { TenantPrefixes } from "./tenant-prefixes.ts";

/** What a tenant host is made of. */
export interface HostParts {
  clock: Clock;
  keys: TenantKeys;
  /** Everything of tenants goes through it. */
  store: ObjectStore;
  directory: string;
  writer: LogWriter;
  queue: LogQueue;
  states: StateLog;
  gate: OutputGate;
  materialiser: Materialiser;
  bounds: OpenBounds;
  copies: CleanCopies;
  awake: IdleLru;
  readers: IdleLru;
  secondaries: IdleLru;
  background: Background;
  reports: ReportQueue;
  logs: SealedLogs;
  prefixes: TenantPrefixes;
  prewarmed: Prewarmed;
  home: TenantHome;
}

/** What a host must do for its parts. */
export interface HostEvents {
  lose(tenant: LoadedTenant, error: unknown): void;
  /** The own log was ended by another. */
  fenced(): void;
  replace: TenantHome["replaceDatabases"];
}

/** @param signal - ends loads and background work */
export function createHostParts(options: TenantHostOptions, signal: AbortSignal, on: HostEvents): HostParts {
  const { incarnation, nonce, control } = options;
  const clock = options.clock ?? systemClock;
  const keys = new TenantKeys({
    ...{ store: options.store, clock },
    provider: options.keyProvider,
    randomBytes: options.randomBytes,
  });
  const ciphers = entryCiphers(keys);
  const store = encryptedStore(options.store, keys);
  const bounds = openBounds(options.descriptors ?? descriptorLimit());
  const directory = claimDirectory(options.directory, incarnation);
  const temporary = join(directory, "temporary");
  mkdirSync(temporary);
  const copies = new CleanCopies(options.directory);
  copies.sweep(clock.nowMs());
  const awake = new IdleLru(bounds.awake);
  const readers = new IdleLru(bounds.readers);
  const secondaries = new IdleLru(bounds.secondaries);
  const logs = new SealedLogs(store, ciphers);
  const bulk: Bulk = {
    work: options.bulkWork ?? bulkThreads(),
    directory: join(directory, "bulk"),
  };
  const materialiser = new Materialiser({ store, clock, signal, bulk });
  const newNonce = options.newNonce ?? (() => randomText(32, "0123456789abcdef"));
  const background = createBackground({
    store,
    incarnation,
    clock,
    signal,
    newNonce,
    bulk,
    writer: () => writer,
  });
  const reports = new ReportQueue({ clock, send: (some) => control.report(some) });
  const prefixes = new TenantPrefixes({
    materialiser,
    maintainer: background.maintainer,
    isPending: (tenant) => queue.isPending(tenant),
    reports,
    namedUploads: options.namedUploads,
    stillUnnamed: (owner, keys) => stillUnnamed({ store, clock, signal }, owner, keys),
    broken: (tenant, error) => on.lose(tenant, error),
  });
  const prewarmed = new Prewarmed({
    directory,
    clock,
    signal,
    restore: async (assignment, directory) => {
      const lease = await keys.open(assignment, signal);
      const options = { store, logs, assignment, directory, clock, signal, work: bulk.work };
      return restoreTenant(options).finally(() => lease.close());
    },
    catchUp: (assignment, copy, directory) => catchUp({ store, assignment, copy, directory, signal }),
  });
  const states = new StateLog({ clock, ciphers, request: () => writer.request() });
  const queue = new LogQueue({
    store,
    incarnation,
    clock,
    newNonce,
    request: () => writer.request(),
    oldestNeeded: () => lowerSlot(materialiser.oldestNeeded(), states.oldestNeeded()),
    pendingEntries: () => materialiser.pendingEntries(),
    states,
    work: bulk.work,
    logged: (tenant, database) => prefixes.logged(tenant, database),
    broken: (tenant, error) => on.lose(tenant, error),
  });
  const writer = new LogWriter({
    store,
    incarnation,
    nonce,
    clock,
    source: queue,
    observer: options.observer,
    onWatermark: (below) => background.truncator.watermark(below),
    onFenced: () => on.fenced(),
  });
  const gate = new OutputGate({
    clock,
    log: writer,
    mayAnswer: () => control.mayAnswer(),
    observer: options.observer,
    asyncLag: options.asyncLag,
  });
  const history = {
    store,
    prefixes,
    condemned: background.condemned,
    prove: () => writer.prove(),
  };
  const home: TenantHome = {
    clock,
    gate,
    objects: store,
    temporary,
    functions: options.sqlFunctions ?? [],
    ciphers,
    awake,
    readers,
    warm: new IdleLru(limits.writersWarmMax),
    secondaries,
    dirty: (tenant, isAwaited) => (isAwaited ? queue.dirty(tenant) : queue.dirtySoon(tenant)),
    carriedChanged: (tenant) => states.changed(tenant),
    dueChanged: (tenant) => {
      // Until it serves it is told with that.
      if (tenant.ready && tenant.lost === undefined) reports.serving(tenant);
    },
    broken: (tenant, error) => on.lose(tenant, error),
    effectFailed: (error, tenant) => options.onError?.(error, tenant),
    replaceDatabases: (tenant, seen, files) => on.replace(tenant, seen, files),
    history: (tenant) => new LoadedHistory(history, tenant),
  };
  return {
    clock,
    keys,
    store,
    directory,
    writer,
    queue,
    states,
    gate,
    materialiser,
    bounds,
    copies,
    awake,
    readers,
    secondaries,
    background,
    reports,
    logs,
    prefixes,
    prewarmed,
    home,
  };
}

const lowerSlot = (a: LogSeq | undefined, b: LogSeq | undefined): LogSeq | undefined =>
  a === undefined || (b !== undefined && b < a) ? b : a;
