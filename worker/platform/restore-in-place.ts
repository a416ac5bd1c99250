import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { SystemError, UserError } from "../../shared/errors.ts";
import { AUXILIARY_DB, DATA_DB, type DatabaseName, STATE_DB, type Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Positions } from "../../shared/protocol/internal.ts";
import type { RestoreReport, RestoreRequest } from "../../shared/protocol/points.ts";
import type { TenantRequest } from "../http/contract.ts";
import { restorePoint } from "../points/restore-point.ts";
import type { Tenant } from "../tenant/contract.ts";

/** What a restore leaves as it is, and why. */
const KEPT: ReadonlyMap<DatabaseName, string> = new Map([
  [AUXILIARY_DB, "auxiliary.db: logs stay as they are unless they are asked for"],
  [STATE_DB, "state.db: tokens and marks of the platform are never taken back"],
]);

/** Tenant slot: one restore at a time, and where databases stood in the turn in which they were replaced. */
const restores = {
  create(tenant: Tenant): { running: boolean; replaced: Positions } {
    const state = { running: false, replaced: {} as Positions };
    tenant.onReplaced(() => {
      state.replaced = tenant.history.captured();
    });
    return state;
  },
};

/**
 * Puts the databases as of a point on top, each as one new TXID: fenced as every write, and undone by restoring the TXID before.
 * @throws UserError `point_not_found`, `conflict`; what a restore and an import throw
 */
export async function restoreInPlace(
  { tenant, seen, request }: TenantRequest,
  { at, logs }: RestoreRequest,
  temporary: string = tenant.temporary,
): Promise<RestoreReport> {
  const state = tenant.slot(restores);
  if (state.running) throw new UserError("conflict", "Cannot restore: a restore of this tenant is running");
  state.running = true;
  const directory = await mkdtemp(join(temporary, "restore-"));
  try {
    const signal = AbortSignal.any([request.signal, tenant.gone, AbortSignal.timeout(limits.importMs)]);
    const { history } = tenant;
    await history.materialise();
    const isWanted = (name: DatabaseName): boolean => !KEPT.has(name) || (logs && name === AUXILIARY_DB);
    const found = await restorePoint(
      {
        store: tenant.objects,
        tenant: tenant.id,
        clock: history.clock,
        nowMs: history.clock.nowMs(),
        open: (entry) => history.open(entry),
        directory,
        only: isWanted,
        signal,
      },
      at,
    );
    const present = Object.keys(history.captured()) as DatabaseName[];
    const kept = present.flatMap((name) => {
      if (!isWanted(name)) return KEPT.get(name) ?? name;
      return found.paths.has(name) ? [] : `${name}: nothing of it is kept at that point`;
    });
    await tenant.replaceDatabases(seen, found.paths);
    const report = (name: DatabaseName): { point: Txid; before: Txid; after: Txid } => {
      const after = state.replaced[name]?.txid;
      const point = found.databases.get(name)?.txid;
      if (after === undefined || point === undefined) {
        throw new SystemError("internal", `Cannot tell where ${name} stands after the restore`);
      }
      return { point, before: (after - 1) as Txid, after };
    };
    const { before, after } = report(DATA_DB);
    return {
      point: found.point,
      exact: found.exact,
      ...(found.next === undefined ? {} : { next: found.next }),
      before,
      after,
      databases: Object.fromEntries([...found.paths.keys()].map((name) => [name, report(name)])),
      kept,
    };
  } finally {
    state.running = false;
    await rm(directory, { recursive: true, force: true });
  }
}
