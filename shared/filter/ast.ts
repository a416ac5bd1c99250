/**
 * The filter and rule language as a tree (pocketbase.md §6). Immutable: trees are cached and shared.
 * Literals are numbered in order of appearance, so that filters which differ only in their values share one `shape`.
 */
export type FilterOperator = "=" | "!=" | ">" | ">=" | "<" | "<=" | "~" | "!~";

export interface TextOperand {
  readonly type: "text";
  readonly value: string;
  /** Index into Filter.literals. */
  readonly literal: number;
  readonly position: number;
}

export interface NumberOperand {
  readonly type: "number";
  readonly value: number;
  readonly literal: number;
  readonly position: number;
}

export interface IdentifierOperand {
  readonly type: "identifier";
  /** E.g. `title`, `author.name:lower`, `@request.auth.id`; also `true`, `null` and macros, which only the schema tells apart. */
  readonly name: string;
  readonly position: number;
}

export interface FunctionOperand {
  readonly type: "function";
  readonly name: string;
  readonly args: readonly Operand[];
  readonly position: number;
}

export type Operand = TextOperand | NumberOperand | IdentifierOperand | FunctionOperand;

export interface Comparison {
  readonly type: "comparison";
  readonly left: Operand;
  readonly operator: FilterOperator;
  /** Written with `?`: one matching row of a multiple relation is enough. */
  readonly any: boolean;
  readonly right: Operand;
  readonly position: number;
}

export interface GroupItem {
  /** How the item is joined to the one before it; the first item's means nothing. */
  readonly join: "&&" | "||";
  readonly item: Comparison | Group;
}

/** A flat chain: `&&` binds tighter than `||`, as in SQL. */
export interface Group {
  readonly type: "group";
  readonly items: readonly GroupItem[];
}

export interface Filter {
  readonly root: Group;
  readonly literals: readonly (string | number)[];
  /** The text with every literal reduced to what changes the SQL: its type, and whether a text is empty. */
  readonly shape: string;
}
