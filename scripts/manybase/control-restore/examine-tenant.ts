import { DATA_DB, type DatabaseName, type Txid, parseDatabaseName } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { decodeBundle } from "../../../shared/log/bundle.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { dataKeysPrefix, pinKey } from "../../../shared/objects/layout.ts";
import { getBytes } from "../../../shared/objects/read.ts";
import type { TenantRecord } from "../../../control/domain/records.ts";
import { originSteps } from "../../../worker/points/origin.ts";
import { isSnapshot } from "../../../worker/replication/chain.ts";
import { parallel } from "../../../worker/replication/parallel.ts";
import { SealedLogs, type TailItem } from "../../../worker/replication/sealed-log.ts";
import {
  type BundleFile,
  type TenantObjects,
  listTenantObjects,
} from "../../../worker/replication/tenant-objects.ts";
import { type Change, type DatabasePlan, planDatabase } from "./plan-database.ts";
import { listedPlainly } from "./plain-names.ts";
import type { LogContents } from "./read-logs.ts";

export interface TenantPlan {
  tenant: TenantRecord;
  databases: DatabasePlan[];
  /** Announced deletions of what is needed after all, since what stood for it is missing. */
  condemned: string[];
  /**
   * - `gone`: nothing of its data.db leads anywhere.
   * - `key`: no data key of it is there.
   * - `origin`: it is a branch, and what it reads of its parent is not there.
   */
  problem?: "gone" | "key" | "origin";
  /** Rests on entries that no load looks at. */
  older?: true;
  /** Of a branch with problem `origin`: what must not be taken for its origin when the parent goes on. */
  pin?: string;
}

/** Something is missing, and a load would refuse it or find less than there was. */
export const isDamaged = ({ databases, condemned, problem, older }: TenantPlan): boolean =>
  problem !== undefined || older === true || condemned.length > 0 || databases.some(isIncomplete);

/** No load looks into bundles for what files lack. */
const isIncomplete = ({ lost, fill, tail, beyond }: DatabasePlan): boolean =>
  lost !== undefined || fill.length > 0 || beyond.length > 0 || tail.some(({ from }) => !("item" in from));

/** How far each database of a tenant can be had, from its prefix and the logs together. Branches' origins: `examineOrigins`. */
export async function examineTenant(
  store: ObjectStore,
  tenant: TenantRecord,
  contents: LogContents,
  signal: AbortSignal,
): Promise<TenantPlan> {
  const plan = await examine(store, tenant, contents, signal);
  if (!isDamaged(plan)) return plan;
  const older = (await contents.older()).get(tenant.id) ?? [];
  if (older.length === 0) return plan;
  return { ...(await examine(store, tenant, contents, signal, older)), older: true };
}

async function examine(
  store: ObjectStore,
  tenant: TenantRecord,
  { logged, lost }: LogContents,
  signal: AbortSignal,
  older: readonly TailItem[] = [],
): Promise<TenantPlan> {
  const { id, base, origin, encrypted = false } = tenant;
  const objects = await listTenantObjects(listedPlainly(store), id, { signal });
  const items = await readable(store, [...older, ...(logged.get(id)?.items ?? [])], objects, signal);
  const unread = [...(lost.get(id) ?? []), ...items.unread];
  const names = new Set<DatabaseName>([
    ...objects.chains.keys(),
    ...objects.bundles.map(({ database }) => database),
    ...[...items.found, ...unread].flatMap(({ item }) => item.database ?? []),
    ...Object.keys({ ...base, ...origin?.databases }).map((name) => parseDatabaseName(name)),
  ]);
  const condemned = await readCondemned(store, objects, signal);
  const needed = new Set<string>();
  const databases: DatabasePlan[] = [];
  for (const database of names) {
    const files = objects.chains.get(database) ?? [];
    const bundles = objects.bundles.filter((bundle) => bundle.database === database);
    const own = (all: readonly TailItem[]) => all.filter(({ item }) => item.database === database);
    const pieces = {
      ...{ database, files, bundles, base: base[database], mayFill: !encrypted },
      changes: own(items.found).map((item): Change => ({
        txid: item.item.txid ?? (0 as Txid),
        entryHash: item.item.entryHash,
        from: { item },
      })),
      known: own(unread).map(({ item }) => item.txid ?? (0 as Txid)),
      start: files.some(isSnapshot) ? (0 as Txid) : (origin?.databases[database] ?? (0 as Txid)),
    };
    let plan = planDatabase(pieces);
    if (plan.beyond.length > 0 && !encrypted) {
      const changes = await bundled(store, bundles, plan.end.txid, signal);
      plan = planDatabase({ ...pieces, changes: [...changes, ...pieces.changes] });
    }
    databases.push(plan);
    // Without the logs, which go once a tenant has been loaded.
    const reach = (of: typeof files): number => planDatabase({ ...pieces, files: of, changes: [] }).end.txid;
    const doomed = files.filter(({ key }) => condemned.some(({ keys }) => keys.has(key)));
    if (doomed.length > 0 && reach(files.filter((file) => !doomed.includes(file))) < reach(files)) {
      for (const { key } of doomed) needed.add(key);
    }
  }
  const something = names.size > 0 || !tenant.virgin;
  const whole = databases.find(({ database }) => database === DATA_DB);
  const problem =
    something && (whole?.end.txid ?? 0) === 0
      ? "gone"
      : encrypted && names.size > 0 && !(await hasDataKey(store, tenant, signal))
        ? "key"
        : undefined;
  return {
    tenant,
    databases,
    condemned: condemned.filter(({ keys }) => [...keys].some((key) => needed.has(key))).map(({ key }) => key),
    ...(problem === undefined ? {} : { problem }),
  };
}

/** Marks branches that cannot be had any more once what `plans` give up is away. */
export async function examineOrigins(
  store: ObjectStore,
  plans: readonly TenantPlan[],
  signal: AbortSignal,
): Promise<void> {
  const away = new Set(plans.flatMap(({ databases }) => databases.flatMap(({ beyond }) => beyond)));
  const view = listedPlainly(store, away);
  const branches = plans.filter(
    ({ tenant: { origin }, databases, problem }) =>
      problem === undefined &&
      origin !== undefined &&
      databases.some(({ database, standsAlone }) => origin.databases[database] !== undefined && !standsAlone),
  );
  await parallel(branches, limits.restoreTenantsParallel, async (plan) => {
    const { id, origin } = plan.tenant;
    if (origin === undefined) return;
    try {
      await originSteps(view, id, origin, signal);
    } catch (error) {
      if ((error as { code?: string }).code !== "chain_gap") throw error;
      plan.problem = "origin";
      plan.pin = pinKey(origin.tenant, id);
    }
  });
}

/** A REF whose object is missing holds nothing; one that is under the prefix by now needs it no more. */
async function readable(
  store: ObjectStore,
  items: readonly TailItem[],
  { chains, large }: TenantObjects,
  signal: AbortSignal,
): Promise<{ found: TailItem[]; unread: TailItem[] }> {
  const logs = new SealedLogs(store);
  const there = new Set(large.map(({ key }) => key));
  const [found, unread]: [TailItem[], TailItem[]] = [[], []];
  for (const item of items) {
    const { kind, database, txid = 0 } = item.item;
    const files = database === undefined ? [] : (chains.get(database) ?? []);
    const covered = files.some(({ minTxid, maxTxid }) => minTxid <= txid && maxTxid >= txid);
    const entry = kind === "ref" && !covered ? await logs.entry(item, signal) : undefined;
    const missing = entry?.kind === "ref" && !there.has(entry.key);
    (missing ? unread : found).push(item);
  }
  return { found, unread };
}

/** The flushes of bundles that reach beyond `end`: a bundle is written before its file. */
async function bundled(
  store: ObjectStore,
  bundles: readonly BundleFile[],
  end: Txid,
  signal: AbortSignal,
): Promise<Change[]> {
  const changes: Change[] = [];
  for (const { key, maxTxid } of bundles) {
    if (maxTxid <= end) continue;
    const bytes = await getBytes(store, key, { signal });
    for (const entry of bytes === undefined ? [] : decodeBundle(bytes)) {
      changes.push({ txid: entry.txid, entryHash: entry.entryHash, from: { entry } });
    }
  }
  return changes;
}

async function readCondemned(
  store: ObjectStore,
  { condemned }: TenantObjects,
  signal: AbortSignal,
): Promise<{ key: string; keys: ReadonlySet<string> }[]> {
  return parallel(condemned, limits.restoreParallelGets, async ({ key }) => {
    const bytes = await getBytes(store, key, { signal });
    const record =
      bytes === undefined ? {} : (JSON.parse(new TextDecoder().decode(bytes)) as { keys?: string[] });
    return { key, keys: new Set(record.keys) };
  });
}

async function hasDataKey(store: ObjectStore, { id }: TenantRecord, signal: AbortSignal): Promise<boolean> {
  const { objects } = await store.list({ prefix: dataKeysPrefix(id), limit: 1, signal });
  return objects.length > 0;
}
