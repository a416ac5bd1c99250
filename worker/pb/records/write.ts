/**
 * Creating, updating and deleting records on behalf of a client: rules, the auth form, uploads, then the model.
 * `prepare…` needs the database and no time; `settle` takes time (hashing, uploads) and no lock; `save` runs in a transaction.
 */
import type { Collection } from "../../../shared/schema/collection.ts";
import { SystemError, UserError } from "../../../shared/errors.ts";
import {
  type PendingRecord,
  type RecordData,
  type TenantModel,
  ValidationFailure,
} from "../../model/contract.ts";
import { PASSWORD_BYTES_MAX } from "../../model/fields/password.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import type { Tenant, WriteTransaction } from "../../tenant/contract.ts";
import { ApiError, badRequest, forbidden, notThere } from "../api-error.ts";
import { derivedInfo } from "../request-info.ts";
import type { BoundBody } from "../route.ts";
import { type AuthForm, checkAuthForm, needsOldPassword, readAuthForm } from "./auth-form.ts";
import { canManage, meetsCreateRule, meetsManageRuleUnsaved, meetsRule } from "./rules.ts";
import type { RecordScope } from "./scope.ts";
import { submittedBody } from "./submitted.ts";
import { uploadSizes } from "./upload-sizes.ts";
import { dropUploads, storeUploads } from "./uploads.ts";

export interface PreparedWrite {
  readonly pending: PendingRecord;
  readonly form: AuthForm | undefined;
  /** PocketBase's message when the save fails. */
  readonly failure: string;
}

const CREATE_FAILED = "Failed to create record";
const UPDATE_FAILED = "Failed to update record.";
const DELETE_FAILED =
  "Failed to delete record. Make sure that the record is not part of a required relation reference.";

/** @throws ApiError 403 for a locked rule, 400 when the rule refuses the record */
export function prepareCreate(scope: RecordScope, collection: Collection, body: BoundBody): PreparedWrite {
  const { isSuperuser } = scope;
  refuseLocked(scope, collection.createRule);
  const pending = bind(scope, collection, undefined, body);
  let manages = isSuperuser;
  if (!isSuperuser) {
    // PocketBase hashes before it asks the rule, and cannot say what of it failed.
    if ([...pending.passwords.values()].some(beyondBcrypt)) throw badRequest(CREATE_FAILED);
    const submitted = withSubmitted(scope, collection, body, pending);
    if (!meetsCreateRule(submitted, pending)) throw badRequest(CREATE_FAILED);
    manages = meetsManageRuleUnsaved(submitted, pending);
  }
  return prepared(collection, pending, body, manages, CREATE_FAILED);
}

function beyondBcrypt(password: string): boolean {
  return Buffer.byteLength(password) > PASSWORD_BYTES_MAX;
}

/** @throws ApiError 403 for a locked rule, 404 when there is no such record for this client */
export function prepareUpdate(
  scope: RecordScope,
  collection: Collection,
  id: string,
  body: BoundBody,
): PreparedWrite {
  refuseLocked(scope, collection.updateRule);
  const before = scope.model.find(scope.db, collection, id);
  if (before === undefined) throw notThere();
  const pending = bind(scope, collection, before, body);
  let manages = scope.isSuperuser;
  if (!scope.isSuperuser) {
    const submitted = withSubmitted(scope, collection, body, pending);
    if (!meetsRule(submitted, before, collection.updateRule)) throw notThere();
    manages = canManage(submitted, before);
  }
  return prepared(collection, pending, body, manages, UPDATE_FAILED);
}

/** The record to delete. @throws ApiError as `prepareUpdate` */
export function prepareDelete(scope: RecordScope, collection: Collection, id: string): RecordData {
  refuseLocked(scope, collection.deleteRule);
  const record = scope.model.find(scope.db, collection, id);
  if (record === undefined || !meetsRule(scope, record, collection.deleteRule)) throw notThere();
  return record;
}

/** Whether `settle` has anything to do. */
export function needsSettling({ pending, form }: PreparedWrite): boolean {
  return (
    pending.uploads.size > 0 ||
    pending.passwords.size > 0 ||
    (form !== undefined && needsOldPassword(pending, form))
  );
}

/**
 * Checks all there is to check (`read` gives the database that the record will be saved to), hashes passwords and stores
 * uploads; what it stored is dropped when it fails.
 */
export async function settle(
  tenant: Tenant,
  model: TenantModel,
  write: PreparedWrite,
  read: (check: (db: SqlReader) => void) => void,
): Promise<void> {
  const { pending, form, failure } = write;
  try {
    if (form !== undefined) await checkAuthForm(pending, form);
    read((db) => model.validate(pending, db));
    await model.hashPasswords(pending);
    await storeUploads(tenant, pending);
  } catch (error) {
    await discard(tenant, write);
    throw asFailure(error, failure);
  }
}

/** Drops the uploads of a write that did not come to be. */
export async function discard(tenant: Tenant, { pending }: PreparedWrite): Promise<void> {
  if (pending.uploads.size > 0) await dropUploads(tenant, pending);
}

/** @throws ApiError 400 with the field errors */
export function save(
  scope: RecordScope,
  tx: WriteTransaction,
  write: PreparedWrite,
  isSettled: boolean,
): RecordData {
  try {
    if (!isSettled && write.form !== undefined) void checkAuthForm(write.pending, write.form);
    const record = scope.model.save(tx, write.pending);
    scope.model.tenant.slot(uploadSizes).note(tx, write.pending);
    return record;
  } catch (error) {
    throw asFailure(error, write.failure);
  }
}

export function remove(scope: RecordScope, tx: WriteTransaction, record: RecordData): void {
  try {
    scope.model.remove(tx, record);
  } catch (error) {
    throw asFailure(error, DELETE_FAILED);
  }
}

function refuseLocked(scope: RecordScope, rule: string | null): void {
  if (rule === null && !scope.isSuperuser) throw forbidden("Only superusers can perform this action.");
}

function bind(
  scope: RecordScope,
  collection: Collection,
  before: RecordData | undefined,
  body: BoundBody,
): PendingRecord {
  return scope.model.bind(collection, before, body.values, body.files, { allowHidden: scope.isSuperuser });
}

function prepared(
  collection: Collection,
  pending: PendingRecord,
  body: BoundBody,
  manages: boolean,
  failure: string,
): PreparedWrite {
  const form = collection.type === "auth" ? readAuthForm(body.values, manages) : undefined;
  return { pending, form, failure };
}

/** Rules see the submitted values as they would be stored; an empty rule asks for none. */
function withSubmitted(
  scope: RecordScope,
  collection: Collection,
  body: BoundBody,
  pending: PendingRecord,
): RecordScope {
  const rule = pending.before === undefined ? collection.createRule : collection.updateRule;
  if (rule === "" && collection.type !== "auth") return scope;
  const submitted = submittedBody(collection, body, pending, false);
  return { ...scope, info: derivedInfo(scope.info, { body: submitted }) };
}

function asFailure(error: unknown, message: string): unknown {
  if (error instanceof ApiError || error instanceof UserError || error instanceof SystemError) return error;
  if (error instanceof ValidationFailure) return badRequest(message, error.data, error);
  return badRequest(message, undefined, error);
}
