/** What is worked out once per collection: SQL texts, field types, accepted input keys, order of JSON keys. */
import type { Collection, Field } from "../../../shared/schema/collection.ts";
import { quoteName } from "../collections/sql-text.ts";
import type { FieldType, Setter } from "../fields/field-type.ts";
import { typeOf } from "../fields/registry.ts";

export interface PlannedField {
  readonly field: Field;
  readonly name: string;
  readonly type: FieldType;
}

export interface RecordPlan {
  readonly fields: readonly PlannedField[];
  readonly byName: ReadonlyMap<string, PlannedField>;
  /** Input keys with a modifier, e.g. `tags+`. */
  readonly setters: ReadonlyMap<string, { planned: PlannedField; setter: Setter }>;
  /** `SELECT <columns> FROM <table>`, without a WHERE. */
  readonly select: string;
  readonly insert: string;
  /** Keys of the record's JSON in order; undefined stands for collectionId, collectionName and expand. */
  readonly json: readonly { key: string; planned: PlannedField | undefined }[];
}

const plans = new WeakMap<Collection, RecordPlan>();

export function planOf(collection: Collection): RecordPlan {
  let plan = plans.get(collection);
  if (plan === undefined) {
    plan = makePlan(collection);
    plans.set(collection, plan);
  }
  return plan;
}

function makePlan(collection: Collection): RecordPlan {
  const fields = collection.fields.map((field) => ({ field, name: field.name, type: typeOf(field) }));
  const table = quoteName(collection.name);
  const columns = fields.map(({ name }) => quoteName(name)).join(", ");
  const isAuth = collection.type === "auth";
  const shown = fields
    .filter(({ name }) => !(isAuth && (name === "password" || name === "tokenKey")))
    .map((planned): { key: string; planned: PlannedField | undefined } => ({ key: planned.name, planned }));
  const special = ["collectionId", "collectionName", "expand"].map((key) => ({ key, planned: undefined }));
  return {
    fields,
    byName: new Map(fields.map((planned) => [planned.name, planned])),
    setters: new Map(fields.flatMap((planned) => settersOf(planned))),
    select: `SELECT ${columns} FROM ${table}`,
    insert: `INSERT INTO ${table} (${columns}) VALUES (${fields.map(() => "?").join(", ")})`,
    json: [...shown, ...special].toSorted((a, b) => (a.key < b.key ? -1 : 1)),
  };
}

function settersOf(planned: PlannedField): [string, { planned: PlannedField; setter: Setter }][] {
  return (Object.keys(planned.type.setters ?? {}) as Setter[]).map((setter) => [
    setter.replace("f", () => planned.name),
    { planned, setter },
  ]);
}
