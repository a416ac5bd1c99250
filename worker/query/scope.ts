import { FilterError } from "../../shared/filter/error.ts";
import type { Collection, Field, Schema } from "../../shared/schema/collection.ts";
import type { Decisions } from "./decisions.ts";
import type { Getter } from "./fragment.ts";
import type { Join } from "./resolved.ts";

/** The statement that is being built: its joined tables, shared by all filters and sorts of it. */
export class StatementBuilder {
  readonly schema: Schema;
  readonly decisions: Decisions;
  readonly #joins = new Map<string, Join>();
  /** Whether values that do not depend on the row may be computed apart from the joins. */
  detach = true;
  /** Joined collections whose list rule must hold for the joined row, by alias. */
  readonly guarded = new Map<string, Collection>();

  constructor(schema: Schema, decisions: Decisions) {
    this.schema = schema;
    this.decisions = decisions;
  }

  /** A join of the same alias is the same join: comparisons that cross the same relation speak of the same joined row. */
  join(added: Join): void {
    const present = this.#joins.get(added.alias);
    if (present === undefined) this.#joins.set(added.alias, added);
    else if (present.source.sql !== added.source.sql) {
      throw new FilterError(`Cannot resolve filter: alias ${added.alias} is used for two collections`);
    }
  }

  joins(): Join[] {
    return [...this.#joins.values()];
  }

  collection(idOrName: string): Collection {
    const found = this.schema.find(idOrName);
    if (found === undefined) throw new FilterError(`Cannot resolve filter: no collection ${idOrName}`);
    return found;
  }
}

/** What names in one filter or rule refer to. */
export interface Scope {
  readonly statement: StatementBuilder;
  /** The collection whose fields plain names are. */
  readonly base: Collection;
  /** How the statement calls the base table; unquoted. */
  readonly alias: string;
  /** Added to the aliases of tables that do not hang on the base table, to keep rules within one statement apart. */
  readonly suffix: string;
  readonly allowHidden: boolean;
  /** Where a literal of this filter comes from when the plan runs. */
  readonly literal: (index: number, value: string | number) => Getter;
}

export function findField(collection: Collection, name: string): Field | undefined {
  return collection.fields.find((field) => field.name === name);
}

/** Whether the field type can hold several values, whatever its options say. */
export function isArrayLike(field: Field): boolean {
  return field.type === "select" || field.type === "file" || field.type === "relation";
}

export type Modifier = "" | "each" | "isset" | "length" | "lower" | "changed";

const MODIFIERS: ReadonlySet<string> = new Set(["each", "isset", "length", "lower", "changed"]);

/** `title:lower` as name and modifier. */
export function splitModifier(prop: string): [string, Modifier] {
  const parts = prop.split(":");
  const [name = "", modifier = ""] = parts;
  if (parts.length !== 2) return [prop, ""];
  if (!MODIFIERS.has(modifier)) throw new FilterError(`Cannot resolve filter: unknown modifier ${modifier}`);
  return [name, modifier as Modifier];
}

/** Whether the collection has a unique index on just this column; a partial one may still let it repeat. */
export function uniqueIndex(collection: Collection, column: string): "none" | "partial" | "full" {
  for (const index of collection.indexes) {
    const match = /^\s*create\s+unique\s+index\s[^(]*\(\s*([^(),]+?)\s*\)\s*(where\s)?/i.exec(index);
    const name = match?.[1]?.replace(/\s+(?:collate|asc|desc)\b.*$/i, "").replaceAll(/["'`[\]]/g, "");
    if (name?.toLowerCase() === column.toLowerCase()) return match?.[2] === undefined ? "full" : "partial";
  }
  return "none";
}
