import { UserError } from "../../shared/errors.ts";
import type { Epoch, Incarnation, TenantId } from "../../shared/ids.ts";
import type { CarriedState } from "../../shared/protocol/internal.ts";
import type { KeyLease } from "../encryption/tenant-keys.ts";
import type { LoadedTenant, ResumedPositions } from "./loaded-tenant.ts";

/** What the host knows of one tenant that is here, comes or goes. */
export interface Entry {
  /** Lets its content pass; held while it is here. */
  keys: KeyLease | undefined;
  tenant: LoadedTenant | undefined;
  /** One load or departure at a time; the next waits for it. */
  busy: Promise<unknown> | undefined;
  loading: { epoch: Epoch; promise: Promise<LoadedTenant> } | undefined;
  /** What this worker itself knows durable of an epoch, after the tenant was lost in it: a reload goes on from there. */
  resume: ({ epoch: Epoch; carried: CarriedState | undefined } & ResumedPositions) | undefined;
}

export function notOwner(id: TenantId, incarnation: Incarnation, epoch?: Epoch): UserError {
  return new UserError("not_owner", `Cannot serve tenant ${id}: it is not this worker's at that epoch`, {
    hint: "Ask control for the route again.",
    details: epoch === undefined ? { incarnation } : { incarnation, epoch },
  });
}
