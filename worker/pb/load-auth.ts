import { findTokenOwner, SUPERUSERS } from "../auth/tokens.ts";
import { toBool } from "../model/fields/cast.ts";
import { modelOf } from "../model/model.ts";
import type { Observation, Tenant } from "../tenant/contract.ts";
import type { AuthState } from "./route.ts";

/** Who the `Authorization` header speaks for; an absent, broken or expired token is a guest. */
export function loadAuth(header: string | null, tenant: Tenant, seen: Observation): AuthState | undefined {
  if (header === null || header === "") return undefined;
  const token = /^bearer /i.test(header) ? header.slice("Bearer ".length) : header;
  const model = modelOf(tenant);
  const owner = tenant.data.read(seen, (db) =>
    findTokenOwner(token, ["auth"], model.schema, (collection, id) => model.find(db, collection, id)),
  );
  if (owner === undefined) return undefined;
  return {
    record: owner.record,
    collection: owner.collection,
    isSuperuser: owner.collection.name === SUPERUSERS,
    token,
    refreshable: toBool(owner.claims["refreshable"]),
  };
}
