import { LRUCache } from "lru-cache";
import { limits } from "../../shared/limits.ts";
import type { Schema } from "../../shared/schema/collection.ts";
import { quoteName } from "../model/collections/sql-text.ts";
import { viewQueryOf } from "../model/collections/views.ts";
import { modelOf } from "../model/model.ts";
import type { SqlReader, SqlValue } from "../sqlite/contract.ts";
import type { Tenant } from "../tenant/contract.ts";
import { explain } from "./explain.ts";
import type { PlanRow } from "./messages.ts";
import { type PlanCost, planCost } from "./plan-cost.ts";
import { planElsewhere } from "./read.ts";
import { isSafeView } from "./safe-view.ts";

interface Ends {
  readonly countsAll: boolean;
  readonly limit: number | undefined;
  /** The last parameter comes on top of the limit. */
  readonly hasOffset: boolean;
}

interface Verdict {
  readonly sql: string;
  /** What a statement that streams its rows ends after. */
  readonly ends: Ends;
  plan: readonly PlanRow[] | undefined;
  /** Collections whose tables it can read. */
  readonly tables: readonly string[];
  /** It reads views: SQLite may take for ever to compile it, so a process tells the plan, once. */
  readonly readsViews: boolean;
  /** Calls something that may take long for a single row, or was too long to compile. */
  isHeavy: boolean;
  cost: PlanCost;
  untilMs: number;
  asking: Promise<void> | undefined;
}

/** `unknown`: ask `learn` first. */
export type Weight = "light" | "elsewhere" | "refused" | "unknown";

const COUNT_ALL = /^SELECT COUNT\(\*\) FROM "[^"]+"$/;
const LIMITED = /^(?!.*? WHERE )(?!.*? JOIN ).* LIMIT (\d+)( OFFSET \(\? \+ 0\))?$/s;
/** Counting entries of an index is much faster than looking at rows. */
const COUNTED_PER_VISIT = 20;

/**
 * Whether a statement of the API may run on the main thread: by SQLite's own plan of it and the sizes of the tables that it
 * names, never by what it did before, since that depends on parameters that a client chooses.
 */
export class Weigher {
  readonly #tenant: Tenant;
  readonly #verdicts = new LRUCache<string, Verdict>({
    maxSize: limits.queryVerdictsMax,
    sizeCalculation: () => 1,
  });
  readonly #rows = new Map<string, { rows: number; untilMs: number }>();
  #schema: Schema | undefined;
  #visitsMax: number = limits.queryVisitsMax;
  #slowMs = 0;

  constructor(tenant: Tenant) {
    this.#tenant = tenant;
    tenant.onReplaced(() => this.#forget());
  }

  weigh(db: SqlReader, sql: string, params: readonly SqlValue[], nowMs: number): Weight {
    const verdict = this.#verdict(sql);
    if (verdict.untilMs < nowMs) this.#look(db, verdict, nowMs);
    if (verdict.plan === undefined) return verdict.isHeavy ? "refused" : "unknown";
    const { most, likely } = visitsOf(verdict, params);
    if (!verdict.isHeavy && most <= this.#allowed(nowMs)) return "light";
    return verdict.isHeavy || likely > limits.queryVisitsRefused ? "refused" : "elsewhere";
  }

  /** How long it took here: more than expected makes the tenant's next ones go elsewhere sooner. */
  took(ms: number, nowMs: number): void {
    if (ms < limits.querySlowMs) return;
    this.#visitsMax = Math.max(limits.queryVisitsMin, this.#visitsMax * (limits.querySlowMs / 2 / ms));
    this.#slowMs = nowMs;
  }

  /** Finds out what `weigh` did not know. Never throws: what cannot be planned in time is heavy. */
  learn(sql: string): Promise<void> {
    const verdict = this.#verdict(sql);
    verdict.asking ??= planElsewhere(this.#tenant, this.#tenant.observe(), sql).then(
      ({ plan, tookMs }) => {
        verdict.isHeavy ||= tookMs > limits.queryCompileMs;
        verdict.plan = plan;
        verdict.untilMs = 0;
      },
      () => void (verdict.isHeavy = true),
    );
    return verdict.asking;
  }

  #verdict(sql: string): Verdict {
    const { schema } = modelOf(this.#tenant);
    if (schema !== this.#schema) {
      this.#forget();
      this.#schema = schema;
    }
    let verdict = this.#verdicts.get(sql);
    if (verdict === undefined) {
      verdict = newVerdict(schema, sql);
      this.#verdicts.set(sql, verdict);
    }
    return verdict;
  }

  #look(db: SqlReader, verdict: Verdict, nowMs: number): void {
    if (verdict.plan === undefined) {
      if (verdict.readsViews) return;
      verdict.plan = explain(db, verdict.sql);
    }
    let rows = 0;
    for (const table of verdict.tables) rows = Math.max(rows, this.#rowsOf(db, table, nowMs));
    verdict.cost = planCost(verdict.plan, rows);
    verdict.untilMs = nowMs + limits.queryVerdictMs;
  }

  /** At most; without looking at more than the ends of the table. */
  #rowsOf(db: SqlReader, table: string, nowMs: number): number {
    const known = this.#rows.get(table);
    if (known !== undefined && known.untilMs > nowMs) return known.rows;
    const name = quoteName(table);
    const sql = `SELECT (SELECT max(_rowid_) FROM ${name}) - (SELECT min(_rowid_) FROM ${name}) + 1`;
    const rows = Number(db.values(sql)[0]?.[0] ?? 0);
    this.#rows.set(table, { rows, untilMs: nowMs + limits.queryVerdictMs });
    return rows;
  }

  #allowed(nowMs: number): number {
    if (this.#visitsMax < limits.queryVisitsMax && nowMs - this.#slowMs > limits.querySlowForgetMs) {
      this.#visitsMax = Math.min(limits.queryVisitsMax, this.#visitsMax * 2);
      this.#slowMs = nowMs;
    }
    return this.#visitsMax;
  }

  #forget(): void {
    this.#verdicts.clear();
    this.#rows.clear();
  }
}

function newVerdict(schema: Schema, sql: string): Verdict {
  // Both ways of quoting are in use here.
  const named = schema.collections.filter(
    ({ name }) => sql.includes(`"${name}"`) || sql.includes(quoteName(name)),
  );
  const views = named.filter(({ type }) => type === "view");
  const readsViews = views.length > 0;
  const all = readsViews ? schema.collections : named;
  return {
    sql,
    ends: endsOf(sql),
    plan: undefined,
    tables: all.filter(({ type }) => type !== "view").map(({ name }) => name),
    readsViews,
    isHeavy: !views.every((view) => isSafeView(viewQueryOf(view))),
    cost: { most: Infinity, likely: Infinity, streams: false },
    untilMs: 0,
    asking: undefined,
  };
}

function endsOf(sql: string): Ends {
  const [, limit, offset] = LIMITED.exec(sql) ?? [];
  return {
    countsAll: COUNT_ALL.test(sql),
    limit: limit === undefined ? undefined : Number(limit),
    hasOffset: offset !== undefined,
  };
}

function visitsOf({ ends, cost }: Verdict, params: readonly SqlValue[]): { most: number; likely: number } {
  const { most, likely, streams } = cost;
  if (!streams) return cost;
  const { countsAll, limit, hasOffset } = ends;
  if (countsAll) return { most: most / COUNTED_PER_VISIT, likely: likely / COUNTED_PER_VISIT };
  if (limit === undefined) return cost;
  const end = hasOffset ? limit + Number(params.at(-1) ?? 0) : limit;
  return { most: Math.min(most, end), likely: Math.min(likely, end) };
}

const slot = { create: (tenant: Tenant): Weigher => new Weigher(tenant) };

export function weigherOf(tenant: Tenant): Weigher {
  return tenant.slot(slot);
}
