import type { RequestInfo } from "./contract.ts";
import type { SqlValue } from "../sqlite/contract.ts";

/** What a plan's parameters are taken from each time it runs. */
export interface Env {
  readonly request: RequestInfo;
  /** The client filter's literals (shared/filter/ast.ts). */
  readonly literals: readonly (string | number)[];
  readonly now: Date;
  /** Values that the caller of the plan adds: a record's id, the columns of an unsaved record. */
  readonly extra: readonly SqlValue[];
}

export type Getter = (env: Env) => SqlValue;

/** A piece of SQL and where the value of each of its `?` comes from, in order. */
export interface Fragment {
  readonly sql: string;
  readonly params: readonly Getter[];
}

export function raw(sql: string): Fragment {
  return { sql, params: [] };
}

/** One bound value. */
export function bound(getter: Getter): Fragment {
  return { sql: "?", params: [getter] };
}

/** SQL with fragments in it. A plain string is put in as it is: only quoted identifiers and keywords. */
export function sql(strings: TemplateStringsArray, ...parts: readonly (Fragment | string)[]): Fragment {
  let text = strings[0] ?? "";
  const params: Getter[] = [];
  for (const [index, part] of parts.entries()) {
    if (typeof part === "string") text += part;
    else {
      text += part.sql;
      params.push(...part.params);
    }
    text += strings[index + 1] ?? "";
  }
  return { sql: text, params };
}

export function join(fragments: readonly Fragment[], separator: string): Fragment {
  return {
    sql: fragments.map((fragment) => fragment.sql).join(separator),
    params: fragments.flatMap((fragment) => fragment.params),
  };
}

export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function bind(params: readonly Getter[], env: Env): SqlValue[] {
  const values: SqlValue[] = Array.from({ length: params.length });
  for (let index = 0; index < params.length; index += 1) {
    const value = params[index]?.(env) ?? null;
    values[index] = typeof value === "boolean" ? Number(value) : value;
  }
  return values;
}
