import { mfaSessionSeconds } from "../../auth/options.ts";
import { policyOf } from "../../auth/policy.ts";
import type { OfferMethods, StrongFactor } from "../../pb/sign-in.ts";
import { findTotp } from "./credential.ts";
import { forgetCredentials, hasTables } from "./tables.ts";

/** Whoever has an authenticator is asked for it, whatever they prove first. */
export const totpFactor: StrongFactor = {
  method: "totp",
  isOffered: ({ totp }) => totp.enabled,
  isAskedOfOwners: () => true,
  isEnrolled: (db, record) => findTotp(db, record)?.isConfirmed === true,
  forget: (tx, { collection, id }) => {
    if (hasTables(tx)) forgetCredentials(tx, collection.id, id);
  },
};

export const offerTotp: OfferMethods = ({ tenant, seen }, collection) => {
  const { totp } = tenant.data.read(seen, (db) => policyOf(db, collection));
  if (!totp.enabled) return {};
  return { totp: { enabled: true, duration: mfaSessionSeconds(collection) } };
};
