import type { Route } from "../../shared/protocol/internal.ts";
import { workerKey } from "./keys.ts";
import type { TenantRecord } from "./records.ts";
import { isClosed } from "./tenant-parts.ts";
import type { View } from "./view.ts";
import { serves } from "./worker-states.ts";

/** Where a tenant is served, as of the view's revision; no worker while its owner does not serve, or nobody is to serve it. */
export function routeOf(view: View, tenant: TenantRecord): Route {
  const worker = tenant.owner === undefined ? undefined : view.get(workerKey(tenant.owner.incarnation));
  return {
    tenant: tenant.id,
    slug: tenant.slug,
    state: tenant.state,
    suspended: tenant.suspended,
    epoch: tenant.epoch,
    ...(serves(worker) && !isClosed(tenant)
      ? { worker: { incarnation: worker.incarnation, url: worker.url } }
      : {}),
    ...(tenant.domains === undefined ? {} : { domains: tenant.domains }),
    ...(tenant.limits === undefined ? {} : { limits: tenant.limits }),
    ...(tenant.state === "archived" && tenant.archive?.step === "thawing" ? { thawing: true } : {}),
    revision: view.revision,
  };
}
