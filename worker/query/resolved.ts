import { toText } from "../model/fields/cast.ts";
import { bound, raw, sql, type Env, type Fragment, type Getter } from "./fragment.ts";
import { likePattern } from "./values.ts";
import type { SqlValue } from "../sqlite/contract.ts";

/** A joined table of the main statement or of a multi-match subquery. */
export interface Join {
  /** Unquoted; unique within the statement. */
  readonly alias: string;
  readonly source: Fragment;
  readonly on?: Fragment;
  /** One row of the tables before it may meet several of this one. */
  readonly multiplies: boolean;
}

/**
 * The other view of an operand that crosses something multiple: all its values for one row of the base table,
 * so that a comparison can be held to every one of them. The joins start at the base table of the statement around it.
 */
export interface Many {
  readonly joins: readonly Join[];
  readonly value: Fragment;
  /** The operand as the right side of LIKE where every value is asked for, if that is not its `like`. */
  readonly like?: Fragment;
}

/** One side of a comparison as SQL, with what the comparison must know of it. */
export interface Resolved {
  readonly value: Fragment;
  /** How NULL compares: `auto` takes it for "", `strict` compares with IS (JSON), `coalesce` never takes it for known to be non-empty. */
  readonly nulls: "auto" | "strict" | "coalesce";
  /** Known to be NULL or "". */
  readonly empty: boolean;
  /** Known to be neither NULL nor "". */
  readonly known: boolean;
  /** Values only: the operand as the right side of LIKE. A column has none and is wrapped in SQL. */
  readonly like?: Fragment;
  readonly many?: Many;
  /** Added to the whole comparison. */
  readonly and?: Fragment;
}

export const NULL_OPERAND: Resolved = { value: raw("NULL"), nulls: "auto", empty: true, known: false };
export const TRUE_OPERAND: Resolved = { value: raw("1"), nulls: "auto", empty: false, known: true };
export const FALSE_OPERAND: Resolved = { value: raw("0"), nulls: "auto", empty: false, known: true };

export function column(value: Fragment, many?: Many): Resolved {
  return { value, nulls: "auto", empty: false, known: false, ...(many === undefined ? {} : { many }) };
}

function likeValue(getter: Getter): Fragment {
  return bound((env: Env) => likePattern(toText(getter(env))));
}

export function textOperand(getter: Getter, empty: boolean): Resolved {
  return { value: bound(getter), nulls: "auto", empty, known: !empty, like: likeValue(getter) };
}

/** Numbers are REAL as they are in PocketBase: `text = 1` compares with '1.0'. */
export function numberOperand(getter: Getter): Resolved {
  return { value: real(getter), nulls: "auto", empty: false, known: true, like: likeValue(getter) };
}

export function integerOperand(getter: (env: Env) => SqlValue): Resolved {
  return { value: bound(getter), nulls: "auto", empty: false, known: true, like: likeValue(getter) };
}

function real(getter: Getter): Fragment {
  return sql`(${bound(getter)} + 0.0)`;
}
