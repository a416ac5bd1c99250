import type { Collection } from "../../../shared/schema/collection.ts";
import { findByEmail } from "../../auth/find-by-email.ts";
import type { RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { toText } from "../../model/fields/cast.ts";
import type { ProviderUser } from "../../oauth2/contract.ts";
import { badRequest } from "../../pb/api-error.ts";
import type { PbContext } from "../../pb/route.ts";

/**
 * Whom a provider's user signs in as: the record linked to it, else the one that is signed in, else the one with its verified
 * email. Undefined: somebody new.
 */
export function findLinked(
  context: PbContext,
  collection: Collection,
  provider: string,
  user: ProviderUser,
): RecordData | undefined {
  const { tenant, seen, auth } = context;
  const model = modelOf(tenant);
  const link = tenant.data.read(seen, (db) =>
    db.get(
      "SELECT recordRef FROM `_externalAuths` WHERE collectionRef = ? AND provider = ? AND providerId = ? LIMIT 1",
      [collection.id, provider, user.id],
    ),
  );
  if (link !== undefined) {
    const linked = tenant.data.read(seen, (db) => model.find(db, collection, toText(link["recordRef"])));
    if (linked === undefined) throw badRequest("Failed to authenticate.");
    return linked;
  }
  if (auth?.collection.id === collection.id) return auth.record;
  return user.email === "" ? undefined : findByEmail(tenant, seen, collection, user.email);
}
