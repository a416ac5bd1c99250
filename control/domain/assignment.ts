import { SystemError } from "../../shared/errors.ts";
import type { Incarnation } from "../../shared/ids.ts";
import type { Assignment } from "../../shared/protocol/internal.ts";
import type { TenantRecord } from "./records.ts";

/** What `incarnation` must know to load the tenant. @throws SystemError `internal` for a tenant that never had an owner */
export function assignmentOf(tenant: TenantRecord, incarnation: Incarnation): Assignment {
  const {
    id,
    slug,
    epoch,
    durability,
    base,
    tails,
    virgin,
    encrypted,
    origin,
    storageBytesMax,
    dueMs,
    carried,
  } = tenant;
  if (epoch < 1) {
    throw new SystemError("internal", `Cannot assign tenant ${id}: it has an owner but no epoch`);
  }
  return {
    tenant: id,
    slug,
    epoch,
    incarnation,
    durability,
    base,
    tails,
    virgin,
    ...(encrypted === undefined ? {} : { encrypted }),
    ...(origin === undefined ? {} : { origin }),
    ...(storageBytesMax === undefined ? {} : { storageBytesMax }),
    ...(dueMs === undefined ? {} : { dueMs }),
    ...(carried === undefined ? {} : { carried }),
  };
}
