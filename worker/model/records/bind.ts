/** Request data onto a new or stored record: conversions, modifiers and uploads; nothing is validated here. */
import type { Collection } from "../../../shared/schema/collection.ts";
import type { PendingRecord, RecordData, RecordValues, UploadedFile } from "../contract.ts";
import { toText, toTexts } from "../fields/cast.ts";
import { optionText, type Setter } from "../fields/field-type.ts";
import { randomByPattern } from "../fields/random-pattern.ts";
import { storedFileName } from "./file-name.ts";
import { planOf, type PlannedField, type RecordPlan } from "./plan.ts";

export type FilesByKey = ReadonlyMap<string, readonly UploadedFile[]>;

export function bindRecord(
  collection: Collection,
  before: RecordData | undefined,
  input: Readonly<Record<string, unknown>>,
  files: FilesByKey,
  options: { allowHidden: boolean },
): PendingRecord {
  const plan = planOf(collection);
  const values: RecordValues = before === undefined ? zeroValues(plan) : { ...before.values };
  const binder = new Binder(collection, plan, values, options.allowHidden);
  const modified: string[] = [];
  const isUpload = (planned: PlannedField | undefined, key: string): boolean =>
    planned?.type.type === "file" && files.has(key);
  for (const key of Object.keys(input)) {
    const planned = plan.byName.get(key);
    if (planned === undefined) {
      if (plan.setters.has(key)) modified.push(key);
    } else if (!isUpload(planned, key)) binder.set(planned, undefined, input[key]);
  }
  // Of several modifiers of one field the shorter key goes first.
  for (const key of modified.toSorted((a, b) => a.length - b.length)) {
    if (!isUpload(plan.setters.get(key)?.planned, key)) binder.setByKey(key, input[key]);
  }
  // Plain keys replace, so they go before those that add to what is there.
  for (const isPlain of [true, false]) {
    for (const [key, list] of files) {
      if (plan.byName.has(key) === isPlain) binder.addFiles(key, input[key], list);
    }
  }
  if (before === undefined) generate(plan, values);
  return {
    collection,
    before,
    id: before?.id ?? toText(values["id"]),
    values,
    uploads: binder.usedUploads(),
    passwords: binder.passwords,
  };
}

function zeroValues(plan: RecordPlan): RecordValues {
  const values: RecordValues = {};
  for (const { field, name, type } of plan.fields) values[name] = type.normalise(field, undefined);
  return values;
}

/** New records get a generated text wherever a field offers one and none was given: ids and token keys among them. */
function generate(plan: RecordPlan, values: RecordValues): void {
  for (const { field, name, type } of plan.fields) {
    if (type.type !== "text" || values[name] !== "") continue;
    const pattern = optionText(field, "autogeneratePattern");
    if (pattern !== "") values[name] = randomByPattern(pattern);
  }
}

class Binder {
  readonly passwords = new Map<string, string>();
  readonly #uploads = new Map<string, { field: string; file: UploadedFile }>();
  readonly #collection: Collection;
  readonly #plan: RecordPlan;
  readonly #values: RecordValues;
  readonly #allowHidden: boolean;

  constructor(collection: Collection, plan: RecordPlan, values: RecordValues, allowHidden: boolean) {
    this.#collection = collection;
    this.#plan = plan;
    this.#values = values;
    this.#allowHidden = allowHidden;
  }

  setByKey(key: string, raw: unknown): void {
    const plain = this.#plan.byName.get(key);
    if (plain !== undefined) this.set(plain, undefined, raw);
    const modified = this.#plan.setters.get(key);
    if (modified !== undefined) this.set(modified.planned, modified.setter, raw);
  }

  set({ field, name, type }: PlannedField, setter: Setter | undefined, raw: unknown): void {
    const isOwnPassword = this.#collection.type === "auth" && name === "password";
    if ((field.hidden && !this.#allowHidden && !isOwnPassword) || type.type === "autodate") return;
    if (type.type === "password") {
      this.#setPassword(name, toText(raw));
      return;
    }
    const apply = setter === undefined ? undefined : type.setters?.[setter];
    this.#values[name] =
      apply === undefined ? type.normalise(field, raw) : apply(field, this.#values[name], raw);
  }

  /** A hash replaces it later; until then the stored one stands. */
  #setPassword(name: string, plain: string): void {
    if (plain === "") {
      this.passwords.delete(name);
      this.#values[name] = "";
    } else this.passwords.set(name, plain);
  }

  /** Uploads join what the same key says in plain: names of files to keep. */
  addFiles(key: string, kept: unknown, files: readonly UploadedFile[]): void {
    const planned = this.#plan.byName.get(key) ?? this.#plan.setters.get(key)?.planned;
    if (planned?.type.type !== "file") return;
    const names = files.map((file) => {
      const name = storedFileName(file);
      this.#uploads.set(name, { field: planned.name, file });
      return name;
    });
    this.setByKey(key, [...toTexts(kept), ...names]);
  }

  /** Files that the values did not take (a single field takes one) are not stored. */
  usedUploads(): ReadonlyMap<string, { field: string; file: UploadedFile }> {
    for (const [name, { field }] of this.#uploads) {
      if (!toTexts(this.#values[field]).includes(name)) this.#uploads.delete(name);
    }
    return this.#uploads;
  }
}
