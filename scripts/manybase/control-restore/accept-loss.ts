import type { Incarnation, TenantId, Txid } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { LTX_HEADER_BYTES } from "../../../shared/ltx/ltx.ts";
import { decodeLtxHeader } from "../../../shared/ltx/decode.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import {
  SNAPSHOT_LEVEL,
  logKey,
  lossReportKey,
  lostPrefix,
  ltxKey,
  retiredKey,
  tenantPrefix,
} from "../../../shared/objects/layout.ts";
import { systemClock } from "../../../worker/replication/clock.ts";
import { storedName } from "../../../worker/encryption/names.ts";
import { parallel } from "../../../worker/replication/parallel.ts";
import { putDurably } from "../../../worker/replication/put-durably.ts";
import { type TenantPlan, isDamaged } from "./examine-tenant.ts";
import { type LossReport, type TenantLossReport, encodeLossReport } from "./loss-report.ts";
import type { DatabasePlan } from "./plan-database.ts";
import type { LogContents, ReadLog } from "./read-logs.ts";
import { changeReader, writeRescueLog } from "./rescue-log.ts";

/**
 * Makes of a store with holes one that a strict restore takes: every tenant ends where the first hole of it begins. Nothing is
 * deleted; the report is durable before the first object is moved. Broken off anywhere it can be run again: what is below the ends
 * is never touched, so another run finds the same ends.
 *
 * @param block claimed for this run: it names the report, what is moved away, and the rescue log
 */
export async function acceptLoss(
  store: ObjectStore,
  found: { plans: readonly TenantPlan[]; contents: LogContents; block: number; at: string },
  signal: AbortSignal,
): Promise<{ key: string; report: LossReport }> {
  const { plans, contents, block, at } = found;
  const logs = await logsToRetire(plans, contents);
  const retiring = new Set(logs.map(({ incarnation }) => incarnation));
  const rescued = plans.flatMap((plan) =>
    plan.databases.flatMap(({ tail }) =>
      isDamaged(plan)
        ? tail
        : tail.filter(({ from }) => "item" in from && retiring.has(from.item.incarnation)),
    ),
  );
  const incarnation = (block * limits.incarnationsPerBlock) as Incarnation;
  const { entries } = await writeRescueLog(store, incarnation, rescued, signal);
  const report: LossReport = {
    version: 1,
    block,
    at,
    logs: logs.map(({ incarnation, endSeq, missing }) => ({ incarnation, endSeq, missing })),
    ...(entries === 0 ? {} : { rescue: { incarnation, entries } }),
    tenants: await parallel(plans.filter(isDamaged), limits.restoreTenantsParallel, (plan) =>
      reportOf(store, plan, signal),
    ),
  };
  const key = lossReportKey(block);
  await putDurably(store, key, () => encodeLossReport(report), { clock: systemClock, signal });
  await parallel(plans.filter(isDamaged), limits.restoreTenantsParallel, async (plan) => {
    const { id } = plan.tenant;
    for (const database of plan.databases) await fill(store, id, database, signal);
    for (const [from, to] of movesOf(plan, block)) await move(store, from, to, signal);
  });
  for (const { incarnation: dead, endSeq } of logs) {
    const mark = new TextEncoder().encode(`${JSON.stringify({ at, endSeq })}\n`);
    await store.put(retiredKey(dead), mark, { signal });
  }
  return { key, report };
}

/** Those with holes, and those that hold what is given up: TXIDs that are going to be used again. */
async function logsToRetire(
  plans: readonly TenantPlan[],
  { logs, logged, older }: LogContents,
): Promise<ReadLog[]> {
  const ends = new Map<TenantId, Map<string, Txid>>();
  for (const { tenant, databases } of plans) {
    ends.set(tenant.id, new Map(databases.map(({ database, end }) => [database, end.txid])));
  }
  const holding = new Set<Incarnation>();
  const below = await older();
  for (const id of new Set([...logged.keys(), ...below.keys()])) {
    for (const { incarnation, item } of [...(logged.get(id)?.items ?? []), ...(below.get(id) ?? [])]) {
      const end = item.database === undefined ? undefined : ends.get(id)?.get(item.database);
      if (end !== undefined && (item.txid ?? 0) > end) holding.add(incarnation);
    }
  }
  return logs.filter(
    ({ incarnation, missing, retired }) => !retired && (missing.length > 0 || holding.has(incarnation)),
  );
}

async function reportOf(
  store: ObjectStore,
  plan: TenantPlan,
  signal: AbortSignal,
): Promise<TenantLossReport> {
  const { tenant, databases, problem } = plan;
  const lost = databases.filter((database) => database.lost !== undefined);
  return {
    tenant: tenant.id,
    slug: tenant.slug,
    state: problem ?? (lost.length > 0 ? "cut" : "whole"),
    databases: await Promise.all(
      lost.map(async (database) => {
        const keptAt = await timeOf(store, database, tenant.encrypted === true, signal);
        const { from, to, missing } = database.lost ?? { from: 0, to: 0, missing: [] };
        const facts = {
          database: database.database,
          keptTxid: database.end.txid,
          lost: { from, to, missing },
        };
        return keptAt === undefined
          ? facts
          : Object.assign(facts, { keptAt: new Date(keptAt).toISOString() });
      }),
    ),
    base: Object.fromEntries(
      databases.filter(({ end }) => end.txid > 0).map(({ database, end }) => [database, end]),
    ),
    moved: movesOf(plan, 0).map(([from]) => from),
  };
}

/** Of the last change that is kept: its own time, or when it came to the store. */
async function timeOf(
  store: ObjectStore,
  { tail, fill: filled, lastFile, end }: DatabasePlan,
  encrypted: boolean,
  signal: AbortSignal,
): Promise<number | undefined> {
  const change = [...filled, ...tail].find(({ txid }) => txid === end.txid);
  if (change !== undefined) {
    const entry = await changeReader(store, signal)(change);
    if (!encrypted && entry.kind === "data") return decodeLtxHeader(entry.ltx).timestampMs;
    if (!("item" in change.from)) return undefined;
    const { incarnation, seq } = change.from.item;
    return (await store.head(logKey(incarnation, seq), { signal }))?.modifiedMs;
  }
  if (lastFile === undefined || encrypted) return lastFile?.modifiedMs;
  const head = await store.range(lastFile.key, { offset: 0, length: LTX_HEADER_BYTES }, { signal });
  return head === undefined ? undefined : decodeLtxHeader(head.bytes).timestampMs;
}

/** Announced deletions first: what they name is needed. Then what no strict load may see. */
function movesOf({ databases, condemned, pin }: TenantPlan, block: number): [from: string, to: string][] {
  const keys = [...condemned, ...databases.flatMap(({ beyond }) => beyond)];
  if (pin !== undefined) keys.push(pin);
  return keys.map((key) => {
    // A branch's pin stands under its parent's prefix.
    const owner = key.split("/")[1] as TenantId;
    const rest = key.slice(tenantPrefix(owner).length);
    return [key, `${lostPrefix(owner, block)}${rest}`];
  });
}

async function move(store: ObjectStore, from: string, to: string, signal: AbortSignal): Promise<void> {
  for (const name of new Set([from, storedName(from)])) {
    // An earlier run may have come this far.
    if ((await store.head(name, { signal })) === undefined) continue;
    await store.copy(name, name === from ? to : `${to}e`, { signal });
    await store.delete([name], { signal });
  }
}

/** Files in the place of missing ones: a change is an LTX file of one TXID. */
async function fill(
  store: ObjectStore,
  tenant: TenantId,
  { database, fill: changes }: DatabasePlan,
  signal: AbortSignal,
): Promise<void> {
  const read = changeReader(store, signal);
  for (const change of changes) {
    const entry = await read(change);
    const level = change.txid === 1 ? SNAPSHOT_LEVEL : 1;
    const key = ltxKey(tenant, database, level, change.txid, change.txid);
    if (entry.kind === "ref") await store.copy(entry.key, key, { signal });
    else await putDurably(store, key, () => entry.ltx, { clock: systemClock, signal });
  }
}
