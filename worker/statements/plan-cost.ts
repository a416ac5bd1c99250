/** How many rows a statement may visit at most, from what EXPLAIN QUERY PLAN says of it. */
import type { PlanRow } from "./messages.ts";

export interface PlanCost {
  /** No statement of this plan visits more. */
  most: number;
  /** What is to be expected: equal values in an index are few. */
  likely: number;
  /** One loop that gives its rows as it finds them: a LIMIT ends it. */
  streams: boolean;
}

interface Cost {
  most: number;
  likely: number;
}

interface Level {
  visits: Cost;
  product: Cost;
}

const JSON_ELEMENTS = { most: 1_000, likely: 10 };
const NONE: Cost = { most: 0, likely: 0 };
const ONE: Cost = { most: 1, likely: 1 };
const ENDLESS: Cost = { most: Infinity, likely: Infinity };

/** @param rows - of the largest table that the statement can read: the plan names aliases, not tables */
export function planCost(plan: readonly PlanRow[], rows: number): PlanCost {
  const children = new Map<number, PlanRow[]>();
  for (const row of plan) children.set(row.parent, [...(children.get(row.parent) ?? []), row]);
  const known = new Map<string, Cost>();
  const levels = new Map<number, Level>();
  const table: Cost = { most: rows, likely: rows };
  const few: Cost = { most: rows, likely: Math.min(rows, Math.max(10, rows / 100)) };

  /** Loops of one level are nested in each other; `product` is how often the innermost runs. */
  function level(parent: number): Level {
    const before = levels.get(parent);
    if (before !== undefined) return before;
    const found = costOfLevel(parent);
    levels.set(parent, found);
    return found;
  }

  function costOfLevel(parent: number): Level {
    let product = ONE;
    let visits = NONE;
    const perRow: Cost[] = [];
    const listed = longestList(parent);
    for (const { id, detail } of children.get(parent) ?? []) {
      if (/^(?:SCAN|SEARCH) /.test(detail)) {
        product = times(product, fan(detail, listed));
        visits = plus(visits, product);
      } else if (detail === "MULTI-INDEX OR") {
        product = times(product, times(few, { most: Math.max(1, children.get(id)?.length ?? 1), likely: 1 }));
        visits = plus(visits, product);
      } else if (detail.startsWith("CORRELATED ")) {
        perRow.push(level(id).visits);
      } else if (/^(?:SCALAR|LIST|LEFT-MOST) SUBQUERY|^SUBQUERY /.test(detail)) {
        const inner = level(id);
        visits = plus(visits, inner.visits);
        if (detail.startsWith("LEFT-MOST")) product = times(product, inner.product);
      } else if (/^(?:MATERIALIZE|CO-ROUTINE) /.test(detail)) {
        const inner = level(id);
        visits = plus(visits, inner.visits);
        known.set(detail.replace(/^\S+ /, ""), inner.product);
      } else if (/^(?:COMPOUND QUERY|UNION |UNION ALL|EXCEPT |INTERSECT |MERGE |LEFT$|RIGHT$)/.test(detail)) {
        const inner = compound(id);
        visits = plus(visits, inner.visits);
        product = times(product, inner.product);
      } else if (detail.startsWith("USE TEMP B-TREE")) {
        visits = plus(visits, product);
      } else if (detail.startsWith("BLOOM FILTER")) {
        visits = plus(visits, table);
      } else if (detail.startsWith("RIGHT-JOIN ")) {
        visits = plus(visits, level(id).visits);
        product = plus(product, table);
      } else if (!/^REUSE |^CREATE BLOOM FILTER/.test(detail)) {
        // Recursion, or something that this does not know.
        visits = ENDLESS;
      }
    }
    for (const cost of perRow) visits = plus(visits, times(most1(product), cost));
    return { visits, product };
  }

  /** `id IN (SELECT …)` looks for every element, and its plan looks like that of `id = ?`. */
  function longestList(parent: number): Cost {
    let longest = ONE;
    for (const { id, detail } of children.get(parent) ?? []) {
      if (!/LIST SUBQUERY/.test(detail)) continue;
      const { most, likely } = level(id).product;
      longest = { most: Math.max(longest.most, most), likely: Math.max(longest.likely, likely) };
    }
    return { most: Math.min(rows, longest.most), likely: Math.min(rows, longest.likely) };
  }

  /** Parts of a UNION come one after the other. */
  function compound(parent: number): Level {
    let visits = NONE;
    let product = NONE;
    for (const { id } of children.get(parent) ?? []) {
      const part = level(id);
      visits = plus(visits, part.visits);
      product = plus(product, part.product);
    }
    return { visits, product: most1(product) };
  }

  function fan(detail: string, listed: Cost): Cost {
    const name =
      /^(?:SCAN|SEARCH) (.+?)(?: USING | EXISTS | VIRTUAL TABLE | LEFT-JOIN|$)/.exec(detail)?.[1] ?? "";
    const inner = known.get(name);
    if (inner !== undefined) return inner;
    if (/^SCAN (?:\d+ )?CONSTANT ROW/.test(detail)) return ONE;
    if (/^SCAN \d+-ROW VALUES CLAUSE/.test(detail)) return few;
    if (/VIRTUAL TABLE/.test(detail)) return JSON_ELEMENTS;
    if (/USING INTEGER PRIMARY KEY \(rowid=\?\)/.test(detail)) return listed;
    if (/USING (?:COVERING )?INDEX sqlite_autoindex_\S+ \([^)]*=\?\)/.test(detail)) return listed;
    if (/^SEARCH .*INDEX .*\([^)]*=\?/.test(detail)) return few;
    return table;
  }

  const { visits } = level(0);
  const top = children.get(0) ?? [];
  return { ...visits, streams: top.length === 1 && /^(?:SCAN|SEARCH) /.test(top[0]?.detail ?? "") };
}

const plus = (a: Cost, b: Cost): Cost => ({ most: a.most + b.most, likely: a.likely + b.likely });
/** Infinity times nothing is nothing here. */
const product = (a: number, b: number): number => (a === 0 || b === 0 ? 0 : a * b);
const times = (a: Cost, b: Cost): Cost => ({
  most: product(a.most, b.most),
  likely: product(a.likely, b.likely),
});
const most1 = ({ most, likely }: Cost): Cost => ({ most: Math.max(1, most), likely: Math.max(1, likely) });
