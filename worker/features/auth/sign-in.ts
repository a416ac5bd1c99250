/** The answer of every way to sign in: `{"record":{…},"token":"…"}`, after the auth rule and a second factor. */
import type { Collection } from "../../../shared/schema/collection.ts";
import { authRule } from "../../auth/options.ts";
import { SUPERUSERS } from "../../auth/tokens.ts";
import type { RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { forbidden } from "../../pb/api-error.ts";
import { noteFailure } from "../../pb/request-notes.ts";
import { findSession } from "../../pb/mfa-session.ts";
import { requestAuth } from "../../pb/request-info.ts";
import { enrichOwnRecord } from "../../pb/records/enrich.ts";
import { meetsRule } from "../../pb/records/rules.ts";
import { recordScope } from "../../pb/records/scope.ts";
import type { PbContext } from "../../pb/route.ts";
import type { AuthAnswer, OfferMethods, SignIn, StrongFactor } from "../../pb/sign-in.ts";
import { checkSuperuserAddress } from "../../pb/superuser-address.ts";
import { requireSecondFactor, strongDemand } from "./second-factor.ts";

export interface SignInParts {
  factors: readonly StrongFactor[];
  offers: readonly OfferMethods[];
  /** Told of everybody who got in, before the answer. */
  onSignedIn: (context: PbContext, record: RecordData) => Promise<void>;
}

export function createSignIn(parts: SignInParts): SignIn {
  return {
    answer: (context, answer) => answerAuth(parts, context, answer),
    enrolling: (context, collection, mfaId) => enrolling(parts, context, collection, mfaId),
    offers: (context, collection) =>
      Object.assign({}, ...parts.offers.map((offer) => offer(context, collection))) as Record<
        string,
        unknown
      >,
  };
}

async function answerAuth(parts: SignInParts, context: PbContext, answer: AuthAnswer): Promise<Response> {
  const { tenant, seen } = context;
  const { record, token, method, meta } = answer;
  const model = modelOf(tenant);
  if (record.collection.name === SUPERUSERS) checkSuperuserAddress(context);
  // The rule may ask about the body, even where the endpoint has no use for one.
  await context.body();
  const info = { ...context.info, context: answer.requestContext ?? context.info.context };
  tenant.data.read(seen, (db) => {
    if (!meetsRule(recordScope(db, model, info), record, authRule(record.collection))) {
      throw forbidden("The request doesn't satisfy the collection requirements to authenticate.");
    }
  });
  const next = await requireSecondFactor(parts.factors, context, info, answer);
  if (next !== undefined) {
    noteFailure(context.request, "mfa required");
    return context.json(401, next);
  }
  const json = tenant.data.read(seen, (db) => {
    const own = { ...info, auth: requestAuth({ record, collection: record.collection }) };
    return enrichOwnRecord(recordScope(db, model, own), record, info.query["expand"]);
  });
  if (method !== undefined) await parts.onSignedIn(context, record);
  return context.json(200, { ...(meta === undefined ? {} : { meta }), record: json, token });
}

function enrolling(
  { factors }: SignInParts,
  context: PbContext,
  collection: Collection,
  mfaId: string,
): RecordData {
  return context.tenant.data.read(context.seen, (db) => {
    const { record } = findSession(context, db, collection, mfaId);
    if (strongDemand(db, factors, record).enrol.length === 0) {
      throw forbidden("The sign-in waits for a second factor that is there already.");
    }
    return record;
  });
}
