/**
 * The tenant's data model as features see it: collections, records and what happens when they change; no HTTP and no access rules.
 * worker/model implements it, worker/query turns filters into SQL, worker/features/* add rules and HTTP.
 */
import type { Collection, Field, Schema } from "../../shared/schema/collection.ts";
import type { SqlReader, SqlRow } from "../sqlite/contract.ts";
import type { Tenant, WriteTransaction } from "../tenant/contract.ts";

/** Canonical values by field name: string, number, boolean, string[], parsed JSON, `{lon, lat}`; "" is an empty text or date. */
export type RecordValues = Record<string, unknown>;

/** A stored row of a collection; immutable. Holds all fields, hidden ones and the password hash too. */
export interface RecordData {
  readonly collection: Collection;
  readonly id: string;
  readonly values: Readonly<RecordValues>;
}

/** A file that came with the request; its object is durable in the store before the record that names it is saved. */
export interface UploadedFile {
  /** Name as the client sent it. */
  name: string;
  size: number;
  /** Content type found in the bytes, not the one claimed. */
  mime: string;
  blob: Blob;
}

/** A record about to be saved: input bound and modifiers (`f+`, `+f`, `f-`, `f:autogenerate`) resolved, not validated. */
export interface PendingRecord {
  readonly collection: Collection;
  /** Absent for a create. */
  readonly before: RecordData | undefined;
  readonly id: string;
  readonly values: RecordValues;
  /** New files by the name under which they are stored. */
  readonly uploads: ReadonlyMap<string, { field: string; file: UploadedFile }>;
  /** Plain passwords by field name: hashed by `hashPasswords` before the write lock is taken. */
  readonly passwords: ReadonlyMap<string, string>;
}

export interface FieldError {
  code: string;
  message: string;
  params?: Record<string, unknown>;
}
/** PocketBase's `data` of an error response; nests for batches, collections' fields and subscriptions. */
export interface ErrorData {
  [key: string]: FieldError | ErrorData;
}

/** Input that a field, record or collection refuses. Features answer it as 400 with their own message. */
export class ValidationFailure extends Error {
  override readonly name = "ValidationFailure";
  readonly data: ErrorData;
  constructor(data: ErrorData) {
    super("Failed to validate.");
    this.data = data;
  }
}

export type ChangeAction = "create" | "update" | "delete";

/** Told inside the transaction, after the SQL; use tx.afterCommit / tx.afterDurable for effects. */
export interface RecordChange {
  action: ChangeAction;
  collection: Collection;
  /** After the change; for a delete, before it. */
  record: RecordData;
  before: RecordData | undefined;
}
export type RecordChangeListener = (tx: WriteTransaction, change: RecordChange) => void;

/** A collection was created, changed (perhaps renamed) or deleted with all its records, which are not told one by one. */
/** What queries of views gave when they were tried before the transaction: their first rows, or why there are none. By query. */
export type ViewSamples = ReadonlyMap<string, readonly SqlRow[] | Error>;

export interface CollectionChange {
  action: ChangeAction;
  /** After the change; for a delete, before it. */
  collection: Collection;
  before: Collection | undefined;
}
export type CollectionChangeListener = (tx: WriteTransaction, change: CollectionChange) => void;

/** One per loaded tenant: `modelOf(tenant)` in worker/model/model.ts. */
export interface TenantModel {
  readonly tenant: Tenant;
  /** The newest committed schema (inside a transaction that changed it: `schemaIn(tx)`). */
  readonly schema: Schema;
  schemaIn(tx: WriteTransaction): Schema;
  /** Reads the schema again at its next use: call it after raw SQL may have changed `_collections`. */
  forgetSchema(): void;
  listen(listener: RecordChangeListener): void;
  listenCollections(listener: CollectionChangeListener): void;

  find(db: SqlReader, collection: Collection, id: string): RecordData | undefined;
  findMany(db: SqlReader, collection: Collection, ids: readonly string[]): RecordData[];
  /** A row of `SELECT <columns of the collection>` as a record. */
  fromRow(collection: Collection, row: Record<string, unknown>): RecordData;

  /** Binds input onto a new or stored record. `files` by input key (`field`, `field+`, `+field`). Unknown keys are ignored. */
  bind(
    collection: Collection,
    before: RecordData | undefined,
    input: Readonly<Record<string, unknown>>,
    files: ReadonlyMap<string, readonly UploadedFile[]>,
    options: { allowHidden: boolean },
  ): PendingRecord;
  /** Replaces plain passwords in `values` by bcrypt hashes; off the main thread. @throws ValidationFailure for rule breaks */
  hashPasswords(pending: PendingRecord): Promise<void>;
  /** Checks everything that needs no database; with one, relations and clashing ids too. @throws ValidationFailure */
  validate(pending: PendingRecord, db?: SqlReader): void;
  /**
   * Validates (relations and uniqueness too), inserts or updates, runs PocketBase's consequences (token keys, …), tells listeners.
   * @throws ValidationFailure; UserError `not_found` when the record was deleted meanwhile
   */
  save(tx: WriteTransaction, pending: PendingRecord): RecordData;
  /**
   * Deletes with cascades and unsets.
   * @throws ValidationFailure without field errors when a required relation forbids it; UserError `last_superuser`
   */
  remove(tx: WriteTransaction, record: RecordData): void;

  /** Collection changes throw ValidationFailure, InvalidInput for values of a wrong JSON type, or what SQLite says. */
  createCollection(tx: WriteTransaction, input: Record<string, unknown>, samples?: ViewSamples): Collection;
  updateCollection(
    tx: WriteTransaction,
    current: Collection,
    input: Record<string, unknown>,
    samples?: ViewSamples,
  ): Collection;
  deleteCollection(tx: WriteTransaction, collection: Collection): void;
  truncateCollection(tx: WriteTransaction, collection: Collection): void;
  /** Saves all given collections as one change; `deleteMissing` also removes collections and fields that are not given. */
  importCollections(
    tx: WriteTransaction,
    inputs: readonly Readonly<Record<string, unknown>>[],
    deleteMissing: boolean,
    samples?: ViewSamples,
  ): void;
  /** Fields of a view with this query, and its sample as records; the caller rolls the transaction back. */
  dryRunView(
    tx: WriteTransaction,
    query: string,
    samples: ViewSamples,
  ): { fields: Field[]; sample: RecordData[] };
}

/** Makes an empty data.db a PocketBase one (system collections, `users`, settings), or upgrades an imported one; idempotent. */
export type Bootstrap = (tenant: Tenant) => Promise<void>;
