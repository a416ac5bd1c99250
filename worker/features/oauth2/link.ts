import { type RecordData, ValidationFailure } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { badRequest } from "../../pb/api-error.ts";
import type { Tenant, WriteTransaction } from "../../tenant/contract.ts";

/** Remembers that a provider's user is this record, unless that is known. */
export function link(
  tenant: Tenant,
  tx: WriteTransaction,
  record: RecordData,
  provider: string,
  providerId: string,
): void {
  const model = modelOf(tenant);
  const links = model.schemaIn(tx).find("_externalAuths");
  if (links === undefined) throw badRequest("Failed to authenticate.");
  const known = tx.get(
    "SELECT 1 FROM `_externalAuths` WHERE collectionRef = ? AND recordRef = ? AND provider = ? AND providerId = ?",
    [record.collection.id, record.id, provider, providerId],
  );
  if (known !== undefined) return;
  const values = { collectionRef: record.collection.id, recordRef: record.id, provider, providerId };
  model.save(tx, model.bind(links, undefined, values, new Map(), { allowHidden: true }));
}

export function asSignInFailure(error: unknown): unknown {
  return error instanceof ValidationFailure
    ? badRequest("Failed to authenticate.", error.data, error)
    : error;
}
