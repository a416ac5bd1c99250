import { SystemError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { acceptLoss } from "./accept-loss.ts";
import { checkTenants } from "./check-tenants.ts";
import type { LossReport } from "./loss-report.ts";
import { readSnapshot } from "./read-metadata.ts";
import type { RestoreTarget } from "./restore-target.ts";
import { refuse, survey } from "./survey.ts";

export interface RestoreOptions {
  store: ObjectStore;
  target: RestoreTarget;
  /** Key of a snapshot, or `none`. */
  from?: string;
  /** Brings every tenant to the point before its first hole instead of refusing; see accept-loss.ts. */
  acceptLoss?: boolean;
  signal: AbortSignal;
  nowMs: number;
}

export interface RestoreReport {
  cluster: string;
  snapshot?: { key: string; at: string };
  /** Why newer snapshots were passed over. */
  skipped: string[];
  tenants: number;
  logs: number;
  tails: number;
  orphans: string[];
  renamed: { tenant: string; slug: string }[];
  /** What `acceptLoss` gave up, and where that is written; absent when nothing was missing. */
  loss?: { key: string } & LossReport;
}

/**
 * Builds control's state from the object store alone. The claim of numbers comes first (no older control admits a worker from
 * then on), then every log is sealed, and the state appears in its place only when it is whole: broken off anywhere it can be run
 * again. Nothing in the store is deleted or overwritten.
 *
 * @throws UserError as the target; SystemError naming what cannot be read or does not fit together
 */
export async function restoreControl(options: RestoreOptions): Promise<RestoreReport> {
  const { store, target, from, signal, nowMs } = options;
  await target.requireEmpty();
  const { snapshot, key, skipped } = await readSnapshot(store, from, signal);
  const at = new Date(nowMs).toISOString();
  let found = await survey(store, { snapshot, key, at, atMs: nowMs }, signal);
  let loss: RestoreReport["loss"];
  if (found.problems.length > 0 && options.acceptLoss === true) {
    const accepted = await acceptLoss(store, { ...found, at }, signal);
    loss = { key: accepted.key, ...accepted.report };
    found = await survey(store, { snapshot, key, at, atMs: nowMs }, signal);
  }
  const { cluster, block, rebuilt, contents } = found;
  refuse(found.problems);
  const broken = await checkTenants(store, found.loadable, contents, signal);
  refuse(
    broken.map(
      ({ tenant, error }) =>
        new SystemError(error.code, `Cannot restore tenant ${tenant.slug} (${tenant.id}): ${error.message}`, {
          ...(error.hint === undefined ? {} : { hint: error.hint }),
        }),
    ),
  );
  await target.found(rebuilt.rows, block * limits.restoreRevisionsPerBlock);
  return {
    cluster,
    ...(snapshot === undefined || key === undefined ? {} : { snapshot: { key, at: snapshot.at } }),
    skipped,
    tenants: rebuilt.tenants.length,
    logs: contents.logs.length,
    tails: rebuilt.tenants.reduce((sum, { tails }) => sum + tails.length, 0),
    orphans: rebuilt.orphans,
    renamed: rebuilt.renamed,
    ...(loss === undefined ? {} : { loss }),
  };
}
