/** The schema of one tenant: the committed one, and the changed one of an open transaction. */
import type { Schema } from "../../../shared/schema/collection.ts";
import type { Tenant, WriteTransaction } from "../../tenant/contract.ts";
import { makeSchema } from "./schema.ts";
import { loadCollections } from "./stored.ts";

export class SchemaState {
  readonly #tenant: Tenant;
  #committed: Schema | undefined;
  readonly #changed = new WeakMap<WriteTransaction, Schema>();

  constructor(tenant: Tenant) {
    this.#tenant = tenant;
    tenant.onReplaced(() => this.forget());
  }

  get committed(): Schema {
    if (this.#committed === undefined) {
      const { data } = this.#tenant;
      this.#committed = data.read(this.#tenant.observe(), (db) => makeSchema(loadCollections(db)));
      data.rest();
    }
    return this.#committed;
  }

  in(tx: WriteTransaction): Schema {
    return this.#changed.get(tx) ?? this.committed;
  }

  /** Seen by this transaction at once and by everybody after its commit. */
  change(tx: WriteTransaction, schema: Schema): void {
    this.#changed.set(tx, schema);
    // Registered for every change: an effect registered inside a nested transaction goes when that is rolled back.
    tx.afterCommit(() => {
      const changed = this.#changed.get(tx) ?? schema;
      if (this.#committed === changed) return;
      this.#committed = changed;
      // SQLite itself does not notice that a statement is stale when it is of a view that reads no table.
      this.#tenant.data.rest();
    });
  }

  /** A nested transaction whose schema changes are undone with it. */
  nested<T>(tx: WriteTransaction, fn: () => T): T {
    const before = this.in(tx);
    try {
      return tx.nested(fn);
    } catch (error) {
      if (this.in(tx) !== before) this.change(tx, before);
      throw error;
    }
  }

  /** Reads `_collections` again at the next use: its rows were written by something else than the model. */
  forget(): void {
    this.#committed = undefined;
  }
}
