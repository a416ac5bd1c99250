/** From where and for whom records are read or written. */
import { SUPERUSERS } from "../../auth/tokens.ts";
import type { TenantModel } from "../../model/contract.ts";
import type { RequestContext, RequestInfo } from "../../query/contract.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import { WeighedReader } from "../../statements/weighed-reader.ts";
import { weigherOf } from "../../statements/weigher.ts";
import { derivedInfo } from "../request-info.ts";

export interface RecordScope {
  /** The read-only connection, or the open transaction whose rows are to be seen. */
  readonly db: SqlReader;
  readonly model: TenantModel;
  readonly info: RequestInfo;
  /** Superusers pass every rule and see hidden fields. */
  readonly isSuperuser: boolean;
}

/** @param db - of `readWeighed` or `writeWeighed` where heavy statements may run elsewhere; otherwise endless ones fail */
export function recordScope(db: SqlReader, model: TenantModel, info: RequestInfo): RecordScope {
  const weighed = db instanceof WeighedReader ? db : new WeighedReader(db, weigherOf(model.tenant));
  return { db: weighed, model, info, isSuperuser: info.auth?.collection.name === SUPERUSERS };
}

export function inContext(scope: RecordScope, context: RequestContext): RecordScope {
  return scope.info.context === context ? scope : { ...scope, info: derivedInfo(scope.info, { context }) };
}
