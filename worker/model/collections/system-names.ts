/** Names of the collections that every tenant has and that PocketBase treats specially. */
export const SUPERUSERS = "_superusers";

/** Their rows point to records of any auth collection by `collectionRef` and `recordRef`, and go with them. */
export const REFERENCE_COLLECTIONS = ["_externalAuths", "_mfas", "_otps", "_authOrigins"] as const;
export type ReferenceCollection = (typeof REFERENCE_COLLECTIONS)[number];
