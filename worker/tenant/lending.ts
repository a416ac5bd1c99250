import type { Connection } from "../sqlite/connection.ts";
import { asSystemError } from "../sqlite/connection.ts";
import type { LentFile } from "./contract.ts";
import type { DatabaseHome } from "./database-home.ts";
import type { RequestObservation } from "./observation.ts";

/** What a database does when it is lent. */
export interface Lender {
  readonly home: DatabaseHome;
  readonly path: string;
  /** Resolves with the write lock held. */
  enter: () => Promise<void>;
  note: (seen: RequestObservation) => void;
  open: () => Connection;
  committed: (seen: RequestObservation) => void;
}

/** A database file while a process of ours writes to it, under the tenant's write lock (worker/statements/DESIGN.md). */
export class Lending {
  readonly #lender: Lender;
  #isLent = false;
  #isCommitting = false;

  constructor(lender: Lender) {
    this.#lender = lender;
  }

  /** A transaction of another process may be open: no checkpoint now. */
  get isLent(): boolean {
    return this.#isLent;
  }

  /** The other process commits now, and the mark of that commit is not given out yet. */
  get isCommitting(): boolean {
    return this.#isCommitting;
  }

  async lend<T>(seen: RequestObservation, fn: (file: LentFile) => Promise<T>): Promise<T> {
    const { home, path, enter, note, open } = this.#lender;
    home.checkWritable();
    await enter();
    try {
      home.checkHere();
      note(seen);
      const writer = open();
      this.#isLent = true;
      return await fn({
        path,
        commit: (send, effect) => this.#commit(seen, writer, send, effect),
      });
    } catch (error) {
      throw asSystemError(error, "write");
    } finally {
      this.#isLent = false;
      home.lock.leave();
    }
  }

  async #commit(
    seen: RequestObservation,
    writer: Connection,
    send: () => Promise<void>,
    effect: (() => void) | undefined,
  ): Promise<void> {
    const { home } = this.#lender;
    home.checkHere();
    const before = versionOf(writer);
    this.#isCommitting = true;
    home.commitsElsewhere = true;
    let failed: { error: unknown } | undefined;
    try {
      await send();
    } catch (error) {
      failed = { error };
    }
    this.#isCommitting = false;
    home.commitsElsewhere = false;
    // Lost meanwhile: nothing was cut since, so nobody will ever see that commit.
    home.checkHere();
    let isCommitted = false;
    try {
      if (failed !== undefined) overwriteRemains(writer);
      isCommitted = versionOf(writer) !== before;
    } finally {
      // Also when nothing was committed: who has read meanwhile waits for this mark.
      this.#lender.committed(seen);
    }
    if (failed !== undefined && !isCommitted) throw failed.error;
    try {
      effect?.();
    } catch (error) {
      home.effectFailed(error);
    }
  }
}

/** Changes with every commit of another connection, and never with one of its own. */
function versionOf(writer: Connection): unknown {
  return writer.values("PRAGMA data_version")[0]?.[0];
}

/**
 * A process that died within its COMMIT may have left a whole commit in the WAL of which SQLite's index knows nothing: SQLite
 * will write over it, and capture must never see it. A commit of our own takes its place now.
 */
function overwriteRemains(writer: Connection): void {
  writer.exec("BEGIN IMMEDIATE");
  const version = Number(writer.values("PRAGMA user_version")[0]?.[0] ?? 0);
  writer.exec(`PRAGMA user_version=${version}`);
  writer.exec("COMMIT");
}
