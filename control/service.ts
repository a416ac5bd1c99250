import type { Logger } from "pino";
import type { ObjectStore } from "../shared/objects/contract.ts";
import type { Keyring } from "../shared/protocol/keys.ts";
import type { Clock } from "./clock.ts";
import { followStore, loadTable } from "./domain/follow.ts";
import { RouteFeed } from "./domain/route-feed.ts";
import { Runner } from "./domain/runner.ts";
import { Table } from "./domain/table.ts";
import { TableWaiters } from "./domain/wait.ts";
import { Leadership } from "./liveness/leadership.ts";
import { RouteResolver } from "./liveness/resolve-route.ts";
import { type SealLog, Sealer } from "./sealing/sealer.ts";
import type { ReplicatedStore } from "./store/contract.ts";

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
  log: Logger;
}

/** One replica of control, without its listener: everything the API stands on. */
export interface Control extends ControlParts {
  table: Table;
  runner: Runner;
  feed: RouteFeed;
  leadership: Leadership;
  resolver: RouteResolver;
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
  await loadTable(store, table);
  const feed = new RouteFeed(table);
  const sealer = new Sealer({ ...parts, table, waiters, runner, objects, clock, log, randomBytes });
  const leadership = new Leadership({ ...parts, table, runner, sealer: (signal) => sealer.run(signal) });
  const resolver = new RouteResolver({ table, waiters, runner, leadership });
  const running = Promise.all([
    followStore({ store, table, clock, log }, stop.signal),
    leadership.run(stop.signal).catch((error: unknown) => {
      if (!stop.signal.aborted) log.error({ error }, "cannot follow who leads");
    }),
  ]);
  return {
    ...parts,
    table,
    runner,
    feed,
    leadership,
    resolver,
    stopping: stop.signal,
    async close() {
      stop.abort(new Error("Control stops"));
      await running;
    },
  };
}
