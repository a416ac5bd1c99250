import type { Logger } from "pino";
import type { Incarnation } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../clock.ts";
import { type Key, PREFIXES, nonceKey, sealKey, workerKey } from "../domain/keys.ts";
import type { IdempotencyRecord } from "../domain/records.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";
import { type Command, draft, remove } from "../domain/view.ts";
import type { ReplicatedStore } from "../store/contract.ts";

export interface HousekeepingParts {
  store: ReplicatedStore;
  table: Table;
  runner: Runner;
  clock: Clock;
  log: Logger;
  /** Default limits.auditEntriesMax. */
  auditEntriesMax?: number;
}

/** Keeps bounded what would grow for ever: old audit entries, used idempotency keys, workers that are long gone. */
export async function keepHouse(parts: HousekeepingParts, signal: AbortSignal): Promise<void> {
  const { clock, log } = parts;
  while (!signal.aborted) {
    await clock.sleep(limits.housekeepingMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      await sweepOnce(parts, signal);
    } catch (error) {
      if (!signal.aborted) log.warn({ error }, "cannot keep house now");
    }
  }
}

export async function sweepOnce(parts: HousekeepingParts, signal: AbortSignal): Promise<void> {
  await trimAudit(parts, signal);
  await forgetIdempotency(parts, signal);
  await forgetWorkers(parts, signal);
}

async function trimAudit(parts: HousekeepingParts, signal: AbortSignal): Promise<void> {
  const { store, table, runner, auditEntriesMax = limits.auditEntriesMax } = parts;
  while (table.auditEntries > auditEntriesMax) {
    const limit = Math.min(limits.txnOperationsMax, table.auditEntries - auditEntriesMax);
    const { kvs } = await store.range(PREFIXES.audit, { limit });
    if (kvs.length === 0) return;
    await runner.run(removal(kvs.map(({ key }) => key)), signal);
  }
}

async function forgetIdempotency(parts: HousekeepingParts, signal: AbortSignal): Promise<void> {
  const { store, runner, clock } = parts;
  const oldest = clock.nowMs() - limits.idempotencyKeepMs;
  let from: string | undefined;
  do {
    const page = await store.range(PREFIXES.idempotency, {
      limit: limits.txnOperationsMax,
      ...(from === undefined ? {} : { from }),
    });
    const old = page.kvs.filter(({ value }) => (value as IdempotencyRecord).atMs < oldest);
    if (old.length > 0) await runner.run(removal(old.map(({ key }) => key)), signal);
    from = page.next;
  } while (from !== undefined);
}

/** A worker that owns nothing is named by nobody: what tenants still need of its log stands in their own tails. */
async function forgetWorkers(
  { table, runner, clock }: HousekeepingParts,
  signal: AbortSignal,
): Promise<void> {
  const oldest = clock.nowMs() - limits.goneWorkerKeepMs;
  for (const worker of table.workers()) {
    const due = worker.removed !== undefined || Date.parse(worker.changed) < oldest;
    if (due) await runner.run(forgetWorker(worker.incarnation), signal);
  }
}

function forgetWorker(incarnation: Incarnation): Command<void> {
  return (view) => {
    const key = workerKey(incarnation);
    const worker = view.get(key);
    const ended = worker?.state === "sealed" || worker?.state === "exited";
    // The sweep of dead logs finds its work by the seal.
    const cleared = view.get(sealKey(incarnation))?.cleared !== undefined;
    if (!ended || !cleared || view.isNamed(incarnation)) return { settled: undefined };
    const keys = [key, sealKey(incarnation), nonceKey(worker.nonce)];
    return { draft: draft(view, keys, keys.map(remove)), value: undefined };
  };
}

function removal(keys: string[]): Command<void> {
  return (view) => ({
    draft: draft(
      view,
      [],
      keys.map((key) => remove(key as Key<unknown>)),
    ),
    value: undefined,
  });
}
