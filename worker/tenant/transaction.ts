import { SystemError } from "../../shared/errors.ts";
import type { Connection } from "../sqlite/connection.ts";
import type { RawBounds, RawResult, SqlRow, SqlValue } from "../sqlite/contract.ts";
import type { WriteTransaction } from "./contract.ts";

/** A transaction on the writer connection; whoever makes it has begun it and ends it. */
export class Transaction implements WriteTransaction {
  readonly #writer: Connection;
  #afterCommit: (() => void)[] = [];
  #afterDurable: (() => void | Promise<void>)[] = [];
  #depth = 0;
  #growth: number | undefined;
  #open = true;

  constructor(writer: Connection) {
    this.#writer = writer;
  }

  all<Row = SqlRow>(sql: string, params?: readonly SqlValue[]): Row[] {
    return this.#use().all<Row>(sql, params);
  }

  get<Row = SqlRow>(sql: string, params?: readonly SqlValue[]): Row | undefined {
    return this.#use().get<Row>(sql, params);
  }

  values(sql: string, params?: readonly SqlValue[]): SqlValue[][] {
    return this.#use().values(sql, params);
  }

  run(sql: string, params?: readonly SqlValue[]): { changes: number; lastInsertRowid: number } {
    return this.#use().run(sql, params);
  }

  raw(sql: string, params: readonly SqlValue[], bounds: RawBounds): RawResult {
    return this.#use().raw(sql, params, bounds);
  }

  exec(sql: string): void {
    this.#use().exec(sql);
  }

  afterCommit(effect: () => void): void {
    this.#use();
    this.#afterCommit.push(effect);
  }

  afterDurable(effect: () => void | Promise<void>): void {
    this.#use();
    this.#afterDurable.push(effect);
  }

  withinQuota(uploadBytes = 0): void {
    this.#growth = (this.#growth ?? 0) + uploadBytes;
  }

  /** Bytes of uploads by which it changes a tenant that must stay within its quota; undefined: it need not. */
  get growth(): number | undefined {
    return this.#growth;
  }

  nested<T>(fn: () => T): T {
    const writer = this.#use();
    const growth = this.#growth;
    const name = `nested_${++this.#depth}`;
    const commits = this.#afterCommit.length;
    const durables = this.#afterDurable.length;
    const rollback = (): void => {
      this.#depth--;
      this.#growth = growth;
      this.#afterCommit.length = commits;
      this.#afterDurable.length = durables;
      // A statement that failed hard (disk full) has rolled the whole transaction back already.
      if (!this.#open || !writer.inTransaction) return;
      writer.run(`ROLLBACK TO ${name}`);
      writer.run(`RELEASE ${name}`);
    };
    const release = (): void => {
      this.#use().run(`RELEASE ${name}`);
      this.#depth--;
    };
    writer.run(`SAVEPOINT ${name}`);
    let result: T;
    try {
      result = fn();
    } catch (error) {
      rollback();
      throw error;
    }
    if (!isThenable(result)) {
      release();
      return result;
    }
    return result.then(
      (value: unknown) => {
        release();
        return value;
      },
      (error: unknown) => {
        rollback();
        throw error;
      },
    ) as T;
  }

  /** No use after this; gives out what must follow the commit. */
  end(): { afterCommit: readonly (() => void)[]; afterDurable: readonly (() => void | Promise<void>)[] } {
    this.#open = false;
    return { afterCommit: this.#afterCommit, afterDurable: this.#afterDurable };
  }

  #use(): Connection {
    if (this.#open) return this.#writer;
    throw new SystemError("internal", "Cannot use this transaction: it has ended");
  }
}

export function isThenable(value: unknown): value is Promise<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}
