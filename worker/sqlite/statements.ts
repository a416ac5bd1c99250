import type { Database, SQLQueryBindings, Statement } from "bun:sqlite";
import { LRUCache } from "lru-cache";
import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";

export type Prepared = Statement<unknown, SQLQueryBindings[]>;

interface Known {
  readonly sql: string;
  readonly statement: Prepared;
  /** It writes nothing. */
  readonly reads: boolean;
}

/** Of all connections: a statement takes some 9 KB, so those that were run last by anybody are kept. */
const newest = new LRUCache<Known, Statements>({
  max: limits.statementsOpenMax,
  disposeAfter: (owner, known, reason) => {
    if (reason === "evict") owner.forget(known);
  },
});

/** The prepared statements of one connection, by their text. */
export class Statements {
  readonly #db: Database;
  // By size, since a maximal count would be allocated at once: most tenants use few.
  readonly #known = new LRUCache<string, Known>({
    maxSize: limits.statementCacheMax,
    sizeCalculation: () => 1,
    disposeAfter: (known) => {
      newest.delete(known);
      known.statement.finalize();
    },
  });
  #open = true;

  constructor(db: Database) {
    this.#db = db;
  }

  prepared(sql: string): Prepared {
    return this.#find(sql).statement;
  }

  /** @throws Error when the statement would write */
  reading(sql: string): Prepared {
    const { statement, reads } = this.#find(sql);
    if (!reads) throw writesError();
    return statement;
  }

  /** @throws SystemError `tenant_stopped` */
  check(): void {
    if (!this.#open) throw closedError();
  }

  /** Others are used more. */
  forget({ sql }: Known): void {
    this.#known.delete(sql);
  }

  clear(): void {
    this.#known.clear();
  }

  close(): void {
    this.#open = false;
    this.clear();
  }

  #find(sql: string): Known {
    let known = this.#known.get(sql);
    if (known === undefined) {
      this.check();
      const statement = this.#db.prepare<unknown, SQLQueryBindings[]>(sql);
      known = { sql, statement, reads: statement.readonly };
      this.#known.set(sql, known);
      newest.set(known, this);
    } else {
      newest.get(known);
    }
    return known;
  }
}

export const writesError = (): Error => new Error("Cannot run this statement here: a read is readonly");

const closedError = (): SystemError =>
  new SystemError("tenant_stopped", "Cannot query the database: its tenant left this worker", {
    retryAfterMs: 1_000,
  });
