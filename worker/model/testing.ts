/** A tenant of one worker-local directory for unit tests of the model: real SQLite connections, no replication, no gate. */
import { afterEach, beforeEach } from "bun:test";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DATA_DB, type DatabaseName, type Epoch, type Slug, type TenantId } from "../../shared/ids.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Collection } from "../../shared/schema/collection.ts";
import type { Connection } from "../sqlite/connection.ts";
import type { SqlReader } from "../sqlite/contract.ts";
import { openReader, openWriter } from "../sqlite/open.ts";
import type {
  FileVisit,
  Observation,
  Tenant,
  TenantDatabase,
  WriteTransaction,
  TenantHistory,
} from "../tenant/contract.ts";
import { isThenable, Transaction } from "../tenant/transaction.ts";
import { bootstrap } from "./bootstrap.ts";
import { ValidationFailure, type RecordData, type TenantModel } from "./contract.ts";
import { modelOf } from "./model.ts";

export interface TestTenant extends Tenant {
  /** data.db as one file's bytes. */
  image(): Uint8Array;
  close(): Promise<void>;
}

const seen: Observation = { settled: () => undefined, headers: () => ({}) };

/** `from`: a data.db to start with (it is copied). */
export async function openTestTenant(from?: string): Promise<TestTenant> {
  const directory = await mkdtemp(join(tmpdir(), "model-"));
  if (from !== undefined) await cp(from, join(directory, DATA_DB));
  const databases = new Map<DatabaseName, TestDatabase>();
  const slots = new Map<object, unknown>();
  const database = (name: DatabaseName): TestDatabase => {
    const known = databases.get(name) ?? new TestDatabase(name, join(directory, name));
    databases.set(name, known);
    return known;
  };
  const tenant: TestTenant = {
    id: "testtenant00000" as TenantId,
    slug: "test" as Slug,
    epoch: 1 as Epoch,
    data: database(DATA_DB),
    database,
    observe: () => seen,
    objects: undefined as unknown as ObjectStore,
    temporary: directory,
    history: undefined as unknown as TenantHistory,
    quota: undefined,
    gone: new AbortController().signal,
    dueMs: undefined,
    wakeAt: () => undefined,
    carry: () => ({ given: undefined, changed: () => undefined }),
    replaceDatabases: () => Promise.reject(new Error("Cannot replace databases: this is a test tenant")),
    onReplaced: () => undefined,
    slot<T>(key: { readonly create: (tenant: Tenant) => T }): T {
      if (!slots.has(key)) slots.set(key, key.create(tenant));
      return slots.get(key) as T;
    },
    image: () => database(DATA_DB).image(),
    async close() {
      for (const one of databases.values()) one.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
  return tenant;
}

class TestDatabase implements TenantDatabase {
  readonly name: DatabaseName;
  readonly bytes = 0;
  readonly #path: string;
  readonly #writer: Connection;
  readonly #reader: Connection;

  constructor(name: DatabaseName, path: string) {
    this.name = name;
    this.#path = path;
    this.#writer = openWriter(path);
    this.#reader = openReader(path);
  }

  read<T>(_: Observation, fn: (db: Connection) => T): T {
    return fn(this.#reader);
  }

  write<T>(_: Observation, fn: (tx: WriteTransaction) => T): T | Promise<Awaited<T>> {
    this.#writer.exec("BEGIN IMMEDIATE");
    const tx = new Transaction(this.#writer);
    let result: T;
    try {
      result = fn(tx);
      if (isThenable(result)) throw new Error("Cannot write: a test transaction is synchronous");
      this.#writer.exec("COMMIT");
    } catch (error) {
      tx.end();
      if (this.#writer.inTransaction) this.#writer.exec("ROLLBACK");
      throw error;
    }
    const { afterCommit, afterDurable } = tx.end();
    for (const effect of afterCommit) effect();
    for (const effect of afterDurable) void effect();
    return result;
  }

  async writeTogether<T>(seen: Observation, fn: (tx: WriteTransaction) => T): Promise<Awaited<T>> {
    return await this.write(seen, fn);
  }

  rest(): void {}

  visit(): FileVisit {
    return { path: this.#path, left: () => undefined };
  }

  lend(): Promise<never> {
    return Promise.reject(new Error("Cannot lend: this is a test tenant"));
  }

  image(): Uint8Array {
    return this.#writer.image();
  }

  close(): void {
    this.#writer.close();
    this.#reader.close();
  }
}

/** A tenant with a new PocketBase's content for every test of the file, and shorthands to work on it. */
export function useTestModel() {
  let tenant: TestTenant | undefined;
  beforeEach(async () => {
    tenant = await openTestTenant();
    await bootstrap(tenant);
  });
  afterEach(() => tenant?.close());
  const here = (): TestTenant => {
    if (tenant === undefined) throw new Error("Cannot use the test tenant: no test is running");
    return tenant;
  };
  const model = (): TenantModel => modelOf(here());
  const read = <T>(fn: (db: SqlReader) => T): T => here().data.read(seen, fn);
  const inTx = <T>(fn: (tx: WriteTransaction) => T): T => here().data.write(seen, fn) as T;
  const named = (name: string): Collection => {
    const found = model().schema.find(name);
    if (found === undefined) throw new Error(`Cannot find collection ${name}: the test has not made it`);
    return found;
  };
  return {
    model,
    inTx,
    named,
    createCollection: (input: Record<string, unknown>): Collection =>
      inTx((tx) => model().createCollection(tx, { type: "base", ...input })),
    updateCollection: (name: string, input: Record<string, unknown>): Collection =>
      inTx((tx) => model().updateCollection(tx, named(name), input)),
    save: async (name: string, input: Record<string, unknown>, before?: RecordData): Promise<RecordData> => {
      const pending = model().bind(named(name), before, input, new Map(), { allowHidden: true });
      await model().hashPasswords(pending);
      return inTx((tx) => model().save(tx, pending));
    },
    find: (name: string, id: string): RecordData | undefined =>
      read((db) => model().find(db, named(name), id)),
    count: (name: string): number => Number(read((db) => db.values(`SELECT count(*) FROM ${name}`)[0]?.[0])),
    schemaSql: (name: string): unknown =>
      read((db) => db.values("SELECT sql FROM sqlite_schema WHERE name = ?", [name])[0]?.[0]),
  };
}

/** The codes of the field errors that `run` is refused with; undefined when it is not refused. */
export function failureOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    if (error instanceof ValidationFailure) return codesOf(error.data);
    throw error;
  }
  return undefined;
}

/** Errors as their codes, nested as they are. */
export function codesOf(data: unknown): unknown {
  if (typeof data !== "object" || data === null) return data;
  if ("code" in data) return data.code;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, codesOf(value)]));
}

export const textField = (name: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  type: "text",
  name,
  ...more,
});
