/** Whether a sign-in needs a second step, and whether it has just been taken. */
import { mfa } from "../../auth/options.ts";
import { policyOf } from "../../auth/policy.ts";
import type { RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { consumeSession, openSession, submittedMfaId } from "../../pb/mfa-session.ts";
import { meetsRule } from "../../pb/records/rules.ts";
import { recordScope } from "../../pb/records/scope.ts";
import type { PbContext } from "../../pb/route.ts";
import type { AuthAnswer, StrongFactor, StrongMethod } from "../../pb/sign-in.ts";
import type { RequestInfo } from "../../query/contract.ts";
import type { SqlReader } from "../../sqlite/contract.ts";

/** What the client is told with 401. */
export interface NextStep {
  mfaId: string;
  /** The record has no second factor but must: these it may enrol now, by the session. */
  enrol?: StrongMethod[];
}

export interface StrongDemand {
  /** One of the two steps must be a strong factor. */
  isStrong: boolean;
  /** Not empty: the record must have one and has none. */
  enrol: StrongMethod[];
}

/** What the collection's policy and the record's own factors ask for, beside PocketBase's MFA. */
export function strongDemand(
  db: SqlReader,
  factors: readonly StrongFactor[],
  record: RecordData,
): StrongDemand {
  const policy = policyOf(db, record.collection);
  const offered = factors.filter((factor) => factor.isOffered(policy));
  const owned = offered.filter((factor) => factor.isEnrolled(db, record));
  const isRequired = policy.required && offered.length > 0;
  return {
    isStrong: isRequired || owned.some((factor) => factor.isAskedOfOwners(policy)),
    enrol: isRequired && owned.length === 0 ? offered.map(({ method }) => method) : [],
  };
}

/**
 * What is still to come; undefined when the record is in.
 * @throws ApiError 400 for an unknown, expired or foreign session, or the same method twice
 */
export async function requireSecondFactor(
  factors: readonly StrongFactor[],
  context: PbContext,
  info: RequestInfo,
  { record, method, isMultiFactor }: AuthAnswer,
): Promise<NextStep | undefined> {
  if (method === undefined) return undefined;
  const { isStrong, enrol } = context.tenant.data.read(context.seen, (db) =>
    strongDemand(db, factors, record),
  );
  // A code of an app is never a first step: it always ends a session.
  if (!isStrong && method !== "totp" && !wantsTwoMethods(context, info, record)) return undefined;
  const mfaId = await submittedMfaId(context);
  if (mfaId === "" && isMultiFactor === true) return undefined;
  const isStrongMethod = (one: string): boolean => factors.some((factor) => factor.method === one);
  const isEnough = (first: string): boolean => !isStrong || isStrongMethod(first) || isStrongMethod(method);
  if (mfaId !== "" && (await consumeSession(context, record, method, mfaId, isEnough))) return undefined;
  return {
    mfaId: mfaId === "" ? await openSession(context, record, method) : mfaId,
    ...(enrol.length === 0 ? {} : { enrol }),
  };
}

/** PocketBase's own MFA option. */
function wantsTwoMethods(context: PbContext, info: RequestInfo, record: RecordData): boolean {
  const { enabled, rule } = mfa(record.collection);
  if (!enabled || rule === "") return enabled;
  const model = modelOf(context.tenant);
  return context.tenant.data.read(context.seen, (db) => {
    const scope = { ...recordScope(db, model, info), isSuperuser: false };
    return meetsRule(scope, record, rule);
  });
}
