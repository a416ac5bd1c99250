import type { SqlRow, SqlValue } from "../sqlite/contract.ts";
import type { SelectQuestion } from "./messages.ts";

export type Heavy = Pick<SelectQuestion, "sql" | "params" | "shape">;

/** What a process found for a statement, or failed with. */
export type Found = { rows: (SqlRow | SqlValue[])[] } | { error: unknown };

/** Also as the pattern of a LIKE. */
const INSTANT = /^%?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z%?$/;

/**
 * What the heavy statements of one request gave, for a read that starts again from its beginning. Between two starts of a read
 * the data may change, so a statement is known by its parameters too, but for the time (`@now`). Under the write lock it cannot,
 * and an unsaved record gets another id each time: there a statement is known by its place.
 */
export class Findings {
  readonly #isLocked: boolean;
  /** Most requests have none. */
  #found: Map<string, Found> | undefined;
  #place = 0;

  constructor(isLocked: boolean) {
    this.#isLocked = isLocked;
  }

  /** The read starts again. */
  restart(): void {
    this.#place = 0;
  }

  find(heavy: Heavy): Found | undefined {
    const found = this.#found?.get(this.#key(heavy));
    if (found !== undefined) this.#place += 1;
    return found;
  }

  /** For the statement that `find` did not know last. */
  keep(heavy: Heavy, found: Found): void {
    this.#found ??= new Map();
    this.#found.set(this.#key(heavy), found);
  }

  #key({ sql, params, shape }: Heavy): string {
    if (this.#isLocked) return `${this.#place} ${shape} ${sql}`;
    const values = params.map((value) =>
      typeof value === "string" && INSTANT.test(value) ? { instant: true } : value,
    );
    return `${shape} ${JSON.stringify(values)} ${sql}`;
  }
}
