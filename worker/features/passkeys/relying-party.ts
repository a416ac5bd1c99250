/** Which domain a tenant's passkeys are bound to, and from which pages they may come. */
import { type PasskeyPolicy, policyOf } from "../../auth/policy.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import { forbidden } from "../../pb/api-error.ts";
import type { PbContext } from "../../pb/route.ts";

export interface RelyingParty extends PasskeyPolicy {
  /** Pages that a response may come from: the tenant's own, and those of the policy. */
  allowedOrigins: string[];
}

/** @throws ApiError 403 while the collection has no passkeys */
export function relyingParty({ tenant, seen, origin }: PbContext, collection: Collection): RelyingParty {
  const { passkey } = tenant.data.read(seen, (db) => policyOf(db, collection));
  if (!passkey.enabled) throw forbidden("The collection is not configured to allow passkey authentication.");
  const own = new URL(origin);
  return {
    ...passkey,
    rpId: passkey.rpId === "" ? own.hostname : passkey.rpId,
    allowedOrigins: [own.origin, ...passkey.origins],
  };
}
