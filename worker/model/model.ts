/** The tenant's data model (contract.ts) put together from collections/ and records/. */
import { limits } from "../../shared/limits.ts";
import type { Collection } from "../../shared/schema/collection.ts";
import type { Tenant, WriteTransaction } from "../tenant/contract.ts";
import { dryRunView } from "./collections/dry-run.ts";
import { importCollections } from "./collections/import.ts";
import { mergeCollection, readNewCollection } from "./collections/input.ts";
import { removeCollection } from "./collections/remove.ts";
import { saveCollection } from "./collections/save.ts";
import { SchemaState } from "./collections/state.ts";
import {
  ValidationFailure,
  type CollectionChange,
  type CollectionChangeListener,
  type RecordChangeListener,
  type TenantModel,
} from "./contract.ts";
import { bindRecord } from "./records/bind.ts";
import { hashRecordPasswords } from "./records/passwords.ts";
import { planOf } from "./records/plan.ts";
import { removeRecord } from "./records/remove.ts";
import { findRecord, findRecords, fromRow } from "./records/row.ts";
import { saveRecord } from "./records/save.ts";
import type { RecordWriter } from "./records/write.ts";
import { recordErrors } from "./records/validate.ts";

const slot = { create: (tenant: Tenant): TenantModel => createModel(tenant) };

/** One per loaded tenant. */
export function modelOf(tenant: Tenant): TenantModel {
  return tenant.slot(slot);
}

function createModel(tenant: Tenant): TenantModel {
  const state = new SchemaState(tenant);
  const listeners: RecordChangeListener[] = [];
  const collectionListeners: CollectionChangeListener[] = [];

  const writerOf = (tx: WriteTransaction): RecordWriter => ({
    tx,
    schema: state.in(tx),
    tell: (change) => {
      for (const listener of listeners) listener(tx, change);
    },
  });
  const tell = (tx: WriteTransaction, change: CollectionChange): void => {
    for (const listener of collectionListeners) listener(tx, change);
  };
  const remove = (tx: WriteTransaction, collection: Collection, checked: boolean): void => {
    removeCollection(tx, state, collection, checked);
    tell(tx, { action: "delete", collection, before: collection });
  };

  return {
    tenant,
    get schema() {
      return state.committed;
    },
    schemaIn: (tx) => state.in(tx),
    forgetSchema: () => state.forget(),
    listen: (listener) => void listeners.push(listener),
    listenCollections: (listener) => void collectionListeners.push(listener),

    find: findRecord,
    findMany: findRecords,
    fromRow,
    bind: bindRecord,
    hashPasswords: hashRecordPasswords,
    validate(pending, db) {
      const errors = recordErrors(pending, state.committed, db);
      if (errors !== undefined) throw new ValidationFailure(errors);
    },
    save: (tx, pending) => saveRecord(writerOf(tx), pending),
    remove: (tx, record) => removeRecord(writerOf(tx), record),

    createCollection(tx, input, samples) {
      tx.withinQuota();
      const collection = saveCollection(tx, state, readNewCollection(input), undefined, samples);
      tell(tx, { action: "create", collection, before: undefined });
      return collection;
    },
    updateCollection(tx, current, input, samples) {
      tx.withinQuota();
      const draft = { collection: mergeCollection(current, input), automaticId: false };
      const collection = saveCollection(tx, state, draft, current, samples);
      tell(tx, { action: "update", collection, before: current });
      return collection;
    },
    deleteCollection: (tx, collection) => remove(tx, collection, true),
    truncateCollection(tx, collection) {
      const { select } = planOf(collection);
      for (;;) {
        const rows = tx.all(`${select} LIMIT ${limits.truncateBatch}`);
        for (const row of rows) removeRecord(writerOf(tx), fromRow(collection, row));
        if (rows.length === 0) return;
      }
    },
    dryRunView: (tx, query, samples) => dryRunView(tx, state, query, samples),
    importCollections(tx, inputs, deleteMissing, samples) {
      tx.withinQuota();
      const before = state.in(tx);
      const removed = (collection: Collection): void => remove(tx, collection, false);
      importCollections(tx, state, inputs, deleteMissing, removed, samples);
      for (const collection of state.in(tx).collections) {
        const old = before.find(collection.id);
        if (old !== collection)
          tell(tx, { action: old === undefined ? "create" : "update", collection, before: old });
      }
    },
  };
}
