import type { Logger } from "pino";
import { limits } from "../shared/limits.ts";
import type { ObjectStore, StorageClass } from "../shared/objects/contract.ts";
import type { Keyring } from "../shared/protocol/keys.ts";
import { MetadataWriter } from "./disaster/metadata-writer.ts";
import { SnapshotWriter } from "./disaster/snapshot-writer.ts";
import { DeadLogs } from "./upkeep/dead-logs.ts";
import { Detacher } from "./branching/detacher.ts";
import { PinSweeper } from "./branching/pin-sweeper.ts";
import type { Clock } from "./clock.ts";
import type { ResolveTxt } from "./domains/txt-resolver.ts";
import { followStore, loadTable } from "./domain/follow.ts";
import type { Loads } from "./domain/place.ts";
import { RouteFeed } from "./domain/route-feed.ts";
import { Runner } from "./domain/runner.ts";
import { Table } from "./domain/table.ts";
import { TableWaiters } from "./domain/wait.ts";
import { Archiver } from "./life/archiver.ts";
import { IdleSweeper } from "./life/idle-sweeper.ts";
import { Purger } from "./life/purger.ts";
import { Leadership } from "./liveness/leadership.ts";
import { RouteResolver } from "./liveness/resolve-route.ts";
import { Drainer } from "./moving/drainer.ts";
import { Mover } from "./moving/mover.ts";
import { Rebalancer } from "./moving/rebalancer.ts";
import { createWorkerClient } from "./moving/worker-client.ts";
import { ScaleWatch } from "./scaling/scale-watch.ts";
import { type SealLog, Sealer } from "./sealing/sealer.ts";
import type { ReplicatedStore } from "./store/contract.ts";
import { Waker } from "./waking/waker.ts";

export interface ControlParts {
  store: ReplicatedStore;
  objects: ObjectStore;
  memberKeys: Keyring;
  gatewayKeys: Keyring;
  /** Tenants answer at `<slug>.<domain>`. */
  domain: string;
  sealLog: SealLog;
  clock: Clock;
  randomBytes: (length: number) => Uint8Array;
  /** How control calls workers. */
  fetch: typeof fetch;
  /** Asks DNS about custom domains. */
  resolveTxt: ResolveTxt;
  log: Logger;
  settings?: Partial<ControlSettings>;
}

/** What operators choose; defaults are in shared/limits.ts. */
export interface ControlSettings {
  /** Without a request for this long a tenant is idle. */
  idleMs: number;
  /** Without a request for this long it is evicted; 0: never. */
  evictMs: number;
  /** How long a deleted tenant can be recovered. */
  retainMs: number;
  /** Where the objects of archived tenants go, unless the operator says otherwise. */
  archiveClass: StorageClass;
  /** The first request to an archived tenant starts its thaw. */
  thawOnRequest: boolean;
  /** 0: tenants are never moved to even workers out. */
  rebalanceMovesPerMinute: number;
  /** New tenants are encrypted unless their creation says otherwise. */
  encryptTenants: boolean;
  /** Of new tenants, unless their creation says otherwise; absent: none. */
  storageBytesMax?: number;
  /** Told when another number of workers is wanted. */
  scaleWebhook?: { url: string; token?: string };
}

/** One replica of control, without its listener: everything the API stands on. */
export interface Control extends ControlParts {
  settings: ControlSettings;
  table: Table;
  waiters: TableWaiters;
  runner: Runner;
  feed: RouteFeed;
  leadership: Leadership;
  resolver: RouteResolver;
  detacher: Detacher;
  scaling: ScaleWatch;
  /** Aborts when this replica stops: open streams end. */
  stopping: AbortSignal;
  /** Ends the sweepers; the store stays the caller's to close. */
  close(): Promise<void>;
}

/** Loads the state and starts to follow and, when the store says so, to lead. @throws what the store throws */
export async function openControl(parts: ControlParts): Promise<Control> {
  const { store, objects, clock, log, randomBytes } = parts;
  const stop = new AbortController();
  const table = new Table();
  const waiters = new TableWaiters(table);
  const runner = new Runner({ ...parts, table, waiters });
  await loadTable({ store, table, clock }, stop.signal);
  const feed = new RouteFeed(table);
  const sealer = new Sealer({ ...parts, table, waiters, runner, objects, clock, log, randomBytes });
  const settings: ControlSettings = {
    idleMs: limits.tenantIdleMsDefault,
    evictMs: limits.tenantEvictMsDefault,
    retainMs: limits.tenantRetainMsDefault,
    archiveClass: "GLACIER_IR",
    thawOnRequest: true,
    rebalanceMovesPerMinute: limits.rebalanceMovesPerMinuteDefault,
    encryptTenants: false,
    ...parts.settings,
  };
  const workers = createWorkerClient(parts);
  // Known to the leader only, and only the leader places and moves.
  const loads: Loads = (incarnation) => leadership.current?.leases.last(incarnation);
  const common = { ...parts, ...settings, table, waiters, runner, workers, loads };
  const scaling = new ScaleWatch(common);
  const sweepers = [
    sealer,
    new Mover(common),
    new Drainer(common),
    new Rebalancer({ ...common, movesPerMinute: settings.rebalanceMovesPerMinute }),
    new IdleSweeper(common),
    new Purger({
      ...common,
      detach: (branch, signal) => detacher.detach(branch, runner.meta("control"), signal),
    }),
    new PinSweeper(common),
    new Archiver(common),
    new Waker({ ...common, resolve: (slug) => resolver.resolve({ slug }) }),
    new MetadataWriter(common),
    new SnapshotWriter(common),
    new DeadLogs(common),
    scaling,
  ].map((sweeper) => (signal: AbortSignal) => sweeper.run(signal));
  const leadership = new Leadership({ ...parts, table, runner, sweepers });
  const resolver = new RouteResolver({ table, waiters, runner, leadership, loads });
  const detacher = new Detacher({ ...common, resolver, stopping: stop.signal });
  const running = Promise.all([
    followStore({ store, table, clock, log }, stop.signal),
    leadership.run(stop.signal).catch((error: unknown) => {
      if (!stop.signal.aborted) log.error({ error }, "cannot follow who leads");
    }),
  ]);
  return {
    ...parts,
    settings,
    table,
    waiters,
    runner,
    feed,
    leadership,
    resolver,
    detacher,
    scaling,
    stopping: stop.signal,
    async close() {
      stop.abort(new Error("Control stops"));
      await running;
    },
  };
}
