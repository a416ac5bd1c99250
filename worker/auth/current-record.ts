import type { RecordData } from "../model/contract.ts";
import { modelOf } from "../model/model.ts";
import type { SqlReader } from "../sqlite/contract.ts";
import type { Tenant } from "../tenant/contract.ts";

/**
 * The record as `db` has it, for what is kept in its name after a request that may have taken long; undefined when its tokens have
 * ended since it was read, by a new password say.
 */
export function currentRecord(tenant: Tenant, db: SqlReader, record: RecordData): RecordData | undefined {
  const current = modelOf(tenant).find(db, record.collection, record.id);
  return current?.values["tokenKey"] === record.values["tokenKey"] ? current : undefined;
}
