import { pino } from "pino";
import type { Clock } from "../../../control/clock.ts";
import { followStore, loadTable } from "../../../control/domain/follow.ts";
import { Runner } from "../../../control/domain/runner.ts";
import { Table } from "../../../control/domain/table.ts";
import { TableWaiters } from "../../../control/domain/wait.ts";
import type { ReplicatedStore } from "../../../control/store/contract.ts";
import type { Random } from "../random.ts";
import type { VirtualClock } from "../virtual-clock.ts";

export interface TenantMember {
  store: ReplicatedStore;
  table: Table;
  runner: Runner;
  clock: Clock;
  stop(): void;
}

/** Control's domain on one simulated member, as `openControl` puts it together, without what leaders do by themselves. */
export async function openTenantMember(
  store: ReplicatedStore,
  time: VirtualClock,
  random: Random,
): Promise<TenantMember> {
  const stopping = new AbortController();
  const clock = virtualTime(time);
  const table = new Table();
  const waiters = new TableWaiters(table);
  const randomBytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => random.below(256));
  const runner = new Runner({ store, table, waiters, clock, randomBytes });
  await loadTable({ store, table, clock }, stopping.signal);
  const log = pino({ level: "silent" });
  void followStore({ store, table, clock, log }, stopping.signal).catch(() => undefined);
  return { store, table, runner, clock, stop: () => stopping.abort(new Error("The member is down")) };
}

const START_MS = Date.UTC(2026, 0, 1);

function virtualTime(time: VirtualClock): Clock {
  return {
    nowMs: () => START_MS + time.now(),
    monotonicMs: () => time.now(),
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        const stop = (): void => {
          cancel();
          reject(signal.reason as Error);
        };
        const cancel = time.after(ms, () => {
          signal.removeEventListener("abort", stop);
          resolve();
        });
        if (signal.aborted) stop();
        else signal.addEventListener("abort", stop, { once: true });
      });
    },
  };
}
