import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../replication/clock.ts";
import type { Connection } from "../sqlite/connection.ts";
import type { WriteTransaction } from "./contract.ts";
import type { RequestObservation } from "./observation.ts";
import { Transaction, isThenable } from "./transaction.ts";

/** What a transaction has done, and who has seen it. */
export interface Written {
  seen: RequestObservation;
  tx: Transaction;
}

interface Member {
  seen: RequestObservation;
  fn: (tx: WriteTransaction) => unknown;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

type Outcome = { tx: Transaction; value: unknown } | { error: unknown };

/** What a group needs of its database. */
export interface GroupHome {
  readonly clock: Clock;
  /** Takes the write lock if that takes no waiting. @throws when nothing may be written */
  enterNow: () => boolean;
  enterLater: () => Promise<void>;
  leave: () => void;
  /** BEGIN IMMEDIATE, seen by all of these. @throws when it cannot be begun; then nothing is open */
  begin: (seen: readonly RequestObservation[]) => Connection;
  /** Before each function. */
  beforeOne: () => void;
  /** After each function. @throws UserError `storage_full` */
  checkOne: (tx: Transaction) => void;
  /** COMMIT, and all that follows it; `others` have failed, but seen it. @throws when it is not committed */
  commit: (written: readonly Written[], others: readonly RequestObservation[]) => void;
  rollback: () => void;
  asError: (error: unknown) => unknown;
}

/**
 * Writes of one turn in one transaction: pages that they share are written, captured and sent once. Each is a savepoint, so a failing
 * one is undone alone; nobody is told before the commit of all. What no savepoint can undo (a failing commit, a full disk) undoes
 * all, and then each runs again by itself.
 */
export class WriteGroup {
  readonly #home: GroupHome;
  #waiting: Member[] = [];
  #inLine = 0;

  constructor(home: GroupHome) {
    this.#home = home;
  }

  /** @throws what `fn` does; SystemError `overloaded` */
  add<T>(seen: RequestObservation, fn: (tx: WriteTransaction) => T): Promise<Awaited<T>> {
    if (this.#inLine >= limits.tenantQueueMax) {
      return Promise.reject(
        new SystemError("overloaded", "Cannot write: too many writes wait", { retryAfterMs: 1_000 }),
      );
    }
    this.#inLine++;
    return new Promise<Awaited<T>>((resolve, reject) => {
      this.#waiting.push({ seen, fn, resolve: resolve as Member["resolve"], reject });
      if (this.#waiting.length === 1) this.#soon();
    });
  }

  #soon(): void {
    this.#home.clock.soon(() => this.#next());
  }

  #next(): void {
    const members = this.#waiting;
    this.#waiting = [];
    try {
      if (this.#home.enterNow()) return this.#inside(members);
    } catch (error) {
      return this.#fail(members, error);
    }
    this.#home.enterLater().then(
      () => this.#inside(members),
      (error: unknown) => this.#fail(members, error),
    );
  }

  /** Holds the write lock, and gives it back. */
  #inside(members: readonly Member[]): void {
    let done = 0;
    try {
      done = this.#together(members);
    } finally {
      this.#home.leave();
    }
    if (done === members.length) return;
    // What takes long must not have the thread to itself.
    const isFirst = this.#waiting.length === 0;
    this.#waiting.unshift(...members.slice(done));
    if (isFirst) this.#soon();
  }

  /** @returns how many of them had their turn */
  #together(members: readonly Member[]): number {
    const { clock, begin, rollback } = this.#home;
    const deadlineMs = clock.monotonicMs() + limits.writeGroupMs;
    let writer: Connection;
    try {
      writer = begin(members.map(({ seen }) => seen));
    } catch (error) {
      this.#fail(members, error);
      return members.length;
    }
    const outcomes: Outcome[] = [];
    try {
      for (const member of members) {
        outcomes.push(this.#run(member, writer, members.length > 1));
        if (clock.monotonicMs() >= deadlineMs) break;
      }
      this.#end(members, outcomes);
    } catch (error) {
      rollback();
      if (members.length === 1) this.#fail(members, error);
      else for (const member of members) this.#together([member]);
      return members.length;
    }
    for (const [i, outcome] of outcomes.entries()) this.#tell(members[i], outcome);
    return outcomes.length;
  }

  /** @throws when it failed and took along what the others have written */
  #run({ fn }: Member, writer: Connection, isUndoable: boolean): Outcome {
    const { beforeOne, checkOne } = this.#home;
    const tx = new Transaction(writer);
    if (isUndoable) writer.run("SAVEPOINT member");
    try {
      beforeOne();
      const value = fn(tx);
      if (isThenable(value)) throw new TypeError("Cannot share a transaction: this write takes time");
      checkOne(tx);
      if (isUndoable) writer.run("RELEASE member");
      return { tx, value };
    } catch (error) {
      tx.end();
      if (!isUndoable) return { error };
      if (!writer.inTransaction) throw error;
      writer.run("ROLLBACK TO member");
      writer.run("RELEASE member");
      return { error };
    }
  }

  #end(members: readonly Member[], outcomes: readonly Outcome[]): void {
    const written: Written[] = [];
    const others: RequestObservation[] = [];
    for (const [i, outcome] of outcomes.entries()) {
      const seen = (members[i] as Member).seen;
      if ("tx" in outcome) written.push({ seen, tx: outcome.tx });
      else others.push(seen);
    }
    if (written.length > 0) this.#home.commit(written, others);
    else this.#home.rollback();
  }

  #fail(members: readonly Member[], error: unknown): void {
    for (const member of members) this.#tell(member, { error });
  }

  #tell(member: Member | undefined, outcome: Outcome): void {
    this.#inLine--;
    if ("tx" in outcome) member?.resolve(outcome.value);
    else member?.reject(this.#home.asError(outcome.error));
  }
}
