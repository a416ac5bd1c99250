import { policyOf } from "../../auth/policy.ts";
import type { OfferMethods, StrongFactor } from "../../pb/sign-in.ts";
import { passkeysOf } from "./credential.ts";
import { forgetPasskeys } from "./tables.ts";

export const passkeyFactor: StrongFactor = {
  method: "passkey",
  isOffered: ({ passkey }) => passkey.enabled,
  isAskedOfOwners: ({ passkey }) => passkey.secondFactor,
  isEnrolled: (db, record) => passkeysOf(db, record).some(({ cloned }) => !cloned),
  forget: forgetPasskeys,
};

export const offerPasskeys: OfferMethods = ({ tenant, seen }, collection) => {
  const { passkey } = tenant.data.read(seen, (db) => policyOf(db, collection));
  return passkey.enabled ? { passkey: { enabled: true } } : {};
};
