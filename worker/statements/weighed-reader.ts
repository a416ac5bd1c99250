import type { RawBounds, RawResult, SqlReader, SqlRow, SqlValue } from "../sqlite/contract.ts";
import { StatementFailure } from "./failure.ts";
import type { Findings, Heavy } from "./findings.ts";
import type { Weigher } from "./weigher.ts";

type Shape = Heavy["shape"];

/**
 * Thrown out of a read that cannot go on here: `weighed-work.ts` has the statement run elsewhere, and then starts the same
 * read again, which finds the rows there.
 */
export class Suspended extends Error {
  readonly heavy: Heavy;
  readonly needs: "plan" | "rows";

  constructor(heavy: Heavy, needs: "plan" | "rows") {
    super("Cannot go on with this read here: it was not taken up again");
    this.heavy = heavy;
    this.needs = needs;
  }
}

/** Runs what is light, and refuses or suspends at what is not. */
export class WeighedReader implements SqlReader {
  readonly #db: SqlReader;
  readonly #weigher: Weigher;
  readonly #found: Findings | undefined;
  readonly #nowMs = performance.now();

  /** @param found - what ran elsewhere; without it nothing may, and what is too heavy fails as SQL would */
  constructor(db: SqlReader, weigher: Weigher, found?: Findings) {
    this.#db = db;
    this.#weigher = weigher;
    this.#found = found;
  }

  all<Row = SqlRow>(sql: string, params: readonly SqlValue[] = []): Row[] {
    const found = this.#elsewhere(sql, params, "objects") as Row[] | undefined;
    return found ?? this.#timed(() => this.#db.all<Row>(sql, params));
  }

  get<Row = SqlRow>(sql: string, params: readonly SqlValue[] = []): Row | undefined {
    const found = this.#elsewhere(sql, params, "objects") as Row[] | undefined;
    return found === undefined ? this.#timed(() => this.#db.get<Row>(sql, params)) : found[0];
  }

  values(sql: string, params: readonly SqlValue[] = []): SqlValue[][] {
    const found = this.#elsewhere(sql, params, "arrays") as SqlValue[][] | undefined;
    return found ?? this.#timed(() => this.#db.values(sql, params));
  }

  raw(sql: string, params: readonly SqlValue[], bounds: RawBounds): RawResult {
    return this.#db.raw(sql, params, bounds);
  }

  #timed<T>(run: () => T): T {
    const startMs = performance.now();
    const result = run();
    this.#weigher.took(performance.now() - startMs, startMs);
    return result;
  }

  /** Undefined when the statement may run here. */
  #elsewhere(
    sql: string,
    params: readonly SqlValue[],
    shape: Shape,
  ): readonly (SqlRow | SqlValue[])[] | undefined {
    const weight = this.#weigher.weigh(this.#db, sql, params, this.#nowMs);
    if (weight === "light") return undefined;
    if (this.#found === undefined) {
      // Not an endless one, and nowhere else to go.
      if (weight === "elsewhere") return undefined;
      if (weight === "unknown") void this.#weigher.learn(sql);
      throw new StatementFailure("The statement would take too long", 9, "SQLITE_INTERRUPT");
    }
    const heavy = { sql, params, shape };
    if (weight === "unknown") throw new Suspended(heavy, "plan");
    const found = this.#found.find(heavy);
    if (found === undefined) throw new Suspended(heavy, "rows");
    if ("error" in found) throw found.error;
    return found.rows;
  }
}
