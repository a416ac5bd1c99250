/** The answer of every way to sign in: `{"record":{…},"token":"…"}`, after the auth rule and a second factor. */
import { authRule } from "../../auth/options.ts";
import { SUPERUSERS } from "../../auth/tokens.ts";
import type { RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { forbidden } from "../../pb/api-error.ts";
import { requestAuth } from "../../pb/request-info.ts";
import { enrichOwnRecord } from "../../pb/records/enrich.ts";
import { meetsRule } from "../../pb/records/rules.ts";
import { recordScope } from "../../pb/records/scope.ts";
import type { PbContext } from "../../pb/route.ts";
import { checkSuperuserAddress } from "../../pb/superuser-address.ts";
import type { RequestContext } from "../../query/contract.ts";
import { type AuthMethod, requireSecondFactor } from "./second-factor.ts";

export interface AuthAnswer {
  record: RecordData;
  token: string;
  /** How the record proved itself; absent where no second factor is asked for (refresh, impersonate). */
  method?: AuthMethod;
  /** What `@request.context` says in rules. */
  requestContext?: RequestContext;
  meta?: unknown;
}

/** @throws ApiError 403 when the auth rule refuses the record */
export async function answerAuth(context: PbContext, answer: AuthAnswer): Promise<Response> {
  const { tenant, seen } = context;
  const { record, token, method, meta } = answer;
  const model = modelOf(tenant);
  if (record.collection.name === SUPERUSERS) checkSuperuserAddress(context);
  const info = { ...context.info, context: answer.requestContext ?? context.info.context };
  tenant.data.read(seen, (db) => {
    if (!meetsRule(recordScope(db, model, info), record, authRule(record.collection))) {
      throw forbidden("The request doesn't satisfy the collection requirements to authenticate.");
    }
  });
  if (method !== undefined) {
    const mfaId = await requireSecondFactor(context, info, record, method);
    if (mfaId !== undefined) return context.json(401, { mfaId });
  }
  const json = tenant.data.read(seen, (db) => {
    const own = { ...info, auth: requestAuth({ record, collection: record.collection }) };
    return enrichOwnRecord(recordScope(db, model, own), record, info.query["expand"]);
  });
  return context.json(200, { ...(meta === undefined ? {} : { meta }), record: json, token });
}
