import { SystemError } from "../../../shared/errors.ts";
import { DATA_DB, type DatabaseName, parseDatabaseName } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import type { TenantRecord } from "../../../control/domain/records.ts";
import { listChains, planChain } from "../../../worker/replication/chain.ts";
import { parallel } from "../../../worker/replication/parallel.ts";
import { planTail } from "../../../worker/replication/tail-plan.ts";
import { listedPlainly } from "./plain-names.ts";
import type { LogContents } from "./read-logs.ts";

/** Looks at each tenant the way a load will: what would keep it from loading, by tenant. Branches are looked at when they load. */
export async function checkTenants(
  store: ObjectStore,
  tenants: readonly TenantRecord[],
  { logged }: LogContents,
  signal: AbortSignal,
): Promise<{ tenant: TenantRecord; error: SystemError }[]> {
  const problems: { tenant: TenantRecord; error: SystemError }[] = [];
  const looked = tenants.filter(({ origin, deletion }) => origin === undefined && deletion?.purging !== true);
  await parallel(looked, limits.restoreTenantsParallel, async (tenant) => {
    try {
      await checkTenant(store, tenant, logged.get(tenant.id)?.items ?? [], signal);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      problems.push({ tenant, error });
    }
  });
  return problems;
}

async function checkTenant(
  store: ObjectStore,
  { id, base, epoch, virgin }: TenantRecord,
  items: readonly Parameters<typeof planTail>[0]["items"][number][],
  signal: AbortSignal,
): Promise<void> {
  const chains = await listChains(listedPlainly(store), id, { signal });
  const names = new Set<DatabaseName>([
    ...chains.keys(),
    ...items.flatMap(({ item }) => (item.database === undefined ? [] : [item.database])),
    ...Object.keys(base).map((name) => parseDatabaseName(name)),
  ]);
  if (!names.has(DATA_DB) && (names.size > 0 || !virgin)) {
    throw new SystemError("tenant_missing", "nothing of its data.db is in object storage");
  }
  for (const database of names) {
    const prefixTxid = planChain(chains.get(database) ?? []).at(-1)?.maxTxid ?? (0 as never);
    const own = items.filter(({ item }) => item.database === database);
    const tail = planTail({ prefixTxid, items: own, base: base[database], epoch, database });
    const reached = tail.at(-1)?.txid ?? prefixTxid;
    if (reached < (base[database]?.txid ?? 0)) {
      throw new SystemError(
        "chain_gap",
        `${database} ends at TXID ${reached}, below ${base[database]?.txid}`,
      );
    }
  }
}
