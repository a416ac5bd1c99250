/** What ways to sign in share: how they answer, and what second steps there are. Features implement it, worker/app.ts joins them. */
import type { Collection } from "../../shared/schema/collection.ts";
import type { AuthPolicy } from "../auth/policy.ts";
import type { RecordData } from "../model/contract.ts";
import type { RequestContext } from "../query/contract.ts";
import type { SqlReader } from "../sqlite/contract.ts";
import type { WriteTransaction } from "../tenant/contract.ts";
import type { PbContext } from "./route.ts";

/** How a record proved itself, as `_mfas` keeps it. */
export type AuthMethod = "password" | "otp" | "oauth2" | StrongMethod;
export type StrongMethod = "totp" | "passkey";

export interface AuthAnswer {
  record: RecordData;
  token: string;
  /** Absent where nobody signs in and so no second factor is asked for (refresh, impersonate). */
  method?: AuthMethod;
  /** The proof was of two factors at once: no other step follows, unless this is one that follows another. */
  isMultiFactor?: boolean;
  /** What `@request.context` says in rules. */
  requestContext?: RequestContext;
  meta?: unknown;
}

export interface SignIn {
  /**
   * `{record, token}` after the auth rule, or 401 `{mfaId}` when a second step is still to come.
   * @throws ApiError 403 when the auth rule refuses the record
   */
  answer(context: PbContext, answer: AuthAnswer): Promise<Response>;
  /**
   * Whose sign-in waits in this session for a first second factor to be enrolled.
   * @throws ApiError 400 for an unknown or expired session, 403 when the record has a factor already
   */
  enrolling(context: PbContext, collection: Collection, mfaId: string): RecordData;
  /** What `GET …/auth-methods` tells beyond PocketBase's own methods. */
  offers(context: PbContext, collection: Collection): Record<string, unknown>;
}

/** A second factor that PocketBase lacks and that a record enrols by itself. */
export interface StrongFactor {
  readonly method: StrongMethod;
  isOffered(policy: AuthPolicy): boolean;
  /** Whether those who have it are asked for it where nothing else asks for a second step. */
  isAskedOfOwners(policy: AuthPolicy): boolean;
  isEnrolled(db: SqlReader, record: RecordData): boolean;
  /** The record has lost all that it enrolled. */
  forget(tx: WriteTransaction, record: RecordData): void;
}

/** Keys that an answer of `GET …/auth-methods` has in addition, or instead. */
export type OfferMethods = (context: PbContext, collection: Collection) => Record<string, unknown>;
