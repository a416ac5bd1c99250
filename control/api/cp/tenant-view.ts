import type { TenantView } from "../../../shared/protocol/cp.ts";
import { workerKey } from "../../domain/keys.ts";
import type { TenantRecord } from "../../domain/records.ts";
import { routeOf } from "../../domain/route.ts";
import type { View } from "../../domain/view.ts";
import { serves } from "../../domain/worker-states.ts";

/** Its owner died: the next request assigns another one, when the log of the dead one is sealed. */
function isOrphaned(view: View, { state, suspended, owner }: TenantRecord): boolean {
  const isServed = state === "deploying" || state === "active" || state === "idle";
  return isServed && !suspended && owner !== undefined && !serves(view.get(workerKey(owner.incarnation)));
}

/** `worker` only while that worker serves it: an owner that died is nobody's address. */
export function tenantView(view: View, tenant: TenantRecord): TenantView {
  const { id, slug, state, suspended, durability, epoch, created, updated, transfer, deletion } = tenant;
  const worker = routeOf(view, tenant).worker?.incarnation;
  return {
    id,
    slug,
    state: isOrphaned(view, tenant) ? "assigning" : state,
    suspended,
    durability,
    ...(tenant.encrypted === undefined ? {} : { encrypted: tenant.encrypted }),
    epoch,
    ...(worker === undefined ? {} : { worker }),
    ...(transfer === undefined
      ? {}
      : {
          moving: {
            ...(transfer.to === undefined ? {} : { to: transfer.to }),
            why: transfer.why,
            since: transfer.started,
          },
        }),
    ...(deletion === undefined
      ? {}
      : { deleted: { at: deletion.at, until: deletion.until, purging: deletion.purging === true } }),
    ...(tenant.archive === undefined ? {} : { archive: tenant.archive }),
    ...(tenant.region === undefined ? {} : { region: tenant.region }),
    ...(tenant.storageBytesMax === undefined ? {} : { storageBytesMax: tenant.storageBytesMax }),
    ...(tenant.limits === undefined ? {} : { limits: tenant.limits }),
    ...(tenant.domains === undefined ? {} : { domains: tenant.domains }),
    ...(tenant.origin === undefined ? {} : { origin: tenant.origin.tenant }),
    created,
    updated,
  };
}
