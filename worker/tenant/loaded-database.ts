import { SystemError } from "../../shared/errors.ts";
import { AUXILIARY_DB, type DatabaseName } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { DatabaseLedger } from "../replication/ledger.ts";
import { type CommitMark, DatabasePosition } from "../replication/position.ts";
import { type Connection, asSystemError } from "../sqlite/connection.ts";
import type { SqlReader } from "../sqlite/contract.ts";
import type { FileVisit, LentFile, Observation, TenantDatabase, WriteTransaction } from "./contract.ts";
import { DatabaseCuts } from "./database-cuts.ts";
import { DatabaseFiles } from "./database-files.ts";
import type { DatabaseHome, LoadedFrom } from "./database-home.ts";
import { DatabaseLag } from "./database-lag.ts";
import { runEffects, runWhenDurable } from "./effects.ts";
import { Lending } from "./lending.ts";
import { RequestObservation } from "./observation.ts";
import { Transaction, isThenable } from "./transaction.ts";
import { WriteGroup, type Written } from "./write-group.ts";

/** One of a tenant's databases on this worker: connections, capture, and how far it has come. Opened at its first use. */
export class LoadedDatabase implements TenantDatabase {
  readonly name: DatabaseName;
  readonly isAsync: boolean;
  readonly position: DatabasePosition;
  readonly ledger: DatabaseLedger;
  readonly #home: DatabaseHome;
  readonly #files: DatabaseFiles;
  readonly #lag: DatabaseLag;
  /** Before the transaction that runs; known only to tenants with a quota. */
  #bytesBefore = 0;
  /** What of it goes to object storage. */
  readonly cuts: DatabaseCuts;
  readonly #lending: Lending;
  #together: WriteGroup | undefined;

  constructor(name: DatabaseName, home: DatabaseHome, from: LoadedFrom) {
    this.name = name;
    this.#home = home;
    this.isAsync = home.durability === "async" || name === AUXILIARY_DB;
    this.position = new DatabasePosition(name, from.position, () => home.dirty(true));
    this.#files = new DatabaseFiles(
      name,
      home,
      from,
      this.position,
      () => !this.position.dirty && !home.lock.held && !this.cuts.isAwaited,
    );
    this.#lag = new DatabaseLag(home, this.isAsync, this.position, () => this.#files.capture);
    this.ledger = from.ledger;
    this.#lending = new Lending({
      home,
      path: from.path,
      enter: () => this.#enterLater(),
      note: (seen) => seen.note(this),
      open: () => {
        const { writer, capture } = this.#files.open();
        capture.lent();
        return writer;
      },
      committed: (seen) => void this.#committed([seen]),
    });
    this.cuts = new DatabaseCuts({
      home,
      position: this.position,
      files: this.#files,
      lag: this.#lag,
      lending: this.#lending,
    });
  }

  /** Of the newest TXID. */
  get timestampMs(): number {
    return this.#files.timestampMs;
  }

  get path(): string {
    return this.#files.path;
  }

  /** Of the file; what is only in the WAL does not count. */
  get fileBytes(): number {
    return this.#files.fileBytes;
  }

  /** As of the newest commit; a file that nobody has opened yet is as long as it is. */
  get bytes(): number {
    return this.#files.bytes;
  }

  visit(): FileVisit {
    this.#home.checkHere();
    return this.#files.visit();
  }

  /** Opens the writer: whether the file is usable is known at load, not at the first request. */
  open(): void {
    this.#files.open();
  }

  /** Bytes that are not durable, as of a moment ago. */
  get lagBytes(): () => number {
    return this.#lag.lagBytes;
  }

  read<T>(seen: Observation, fn: (db: SqlReader) => T): T {
    this.#home.checkHere();
    noting(seen).note(this);
    try {
      return fn(this.#files.reading);
    } catch (error) {
      throw asSystemError(error, `read ${this.name}`);
    }
  }

  write<T>(seen: Observation, fn: (tx: WriteTransaction) => T): T | Promise<Awaited<T>> {
    if (this.#enterNow()) return this.#transact(noting(seen), fn);
    return this.#writeLater(noting(seen), fn);
  }

  writeTogether<T>(seen: Observation, fn: (tx: WriteTransaction) => T): Promise<Awaited<T>> {
    this.#home.checkWritable();
    this.#together ??= this.#newGroup();
    return this.#together.add(noting(seen), fn);
  }

  #newGroup(): WriteGroup {
    const { clock, lock } = this.#home;
    return new WriteGroup({
      clock,
      enterNow: () => this.#enterNow(),
      enterLater: () => this.#enterLater(),
      leave: () => lock.leave(),
      begin: (seen) => this.#begin(seen),
      beforeOne: () => this.#beforeOne(),
      checkOne: (tx) => this.#checkQuota(tx),
      commit: (written, others) => this.#commit(written, others),
      rollback: () => this.#rollback(),
      asError: (error) => asSystemError(error, `write ${this.name}`),
    });
  }

  /** @returns whether the caller holds the write lock now */
  #enterNow(): boolean {
    this.#home.checkWritable();
    return this.#mayWrite() && this.#home.lock.tryEnter();
  }

  async #writeLater<T>(seen: RequestObservation, fn: (tx: WriteTransaction) => T): Promise<Awaited<T>> {
    await this.#enterLater();
    // A transaction gives the lock back itself.
    return await this.#transact(seen, fn);
  }

  /** Holds the write lock when it resolves. */
  async #enterLater(): Promise<void> {
    const { lock, gate, clock } = this.#home;
    const deadlineMs = clock.monotonicMs() + limits.gateWaitMsMax;
    for (;;) {
      await gate.admission(this.#lag, deadlineMs);
      await lock.enter();
      // While it waited for the lock others may have written more than object storage takes.
      let admitted = false;
      try {
        admitted = this.#mayWrite();
      } finally {
        if (!admitted) lock.leave();
      }
      if (admitted) return;
    }
  }

  lend<T>(seen: Observation, fn: (file: LentFile) => Promise<T>): Promise<T> {
    return this.#lending.lend(noting(seen), fn);
  }

  /** The newest commit that anybody may have seen: one that another process is making now is told of only afterwards. */
  get newestMark(): CommitMark {
    return this.position.mark + (this.#lending.isCommitting ? 1 : 0);
  }

  rest(): void {
    this.#files.rest();
  }

  /** Rewrites the file without free pages: one commit, which no transaction may hold. @throws when somebody writes */
  vacuum(seen: Observation): void {
    const { lock } = this.#home;
    this.#home.checkWritable();
    if (!lock.tryEnter()) {
      throw new SystemError("overloaded", `Cannot vacuum ${this.name}: it is being written to`, {
        retryAfterMs: 1_000,
      });
    }
    try {
      this.admit();
      this.#files.open().writer.exec("VACUUM");
      this.#committed([noting(seen)]);
    } finally {
      lock.leave();
    }
  }

  close(reason: SystemError): void {
    this.position.fail(reason);
    this.cuts.close();
    this.#files.close();
  }

  /** @throws SystemError `store_unavailable` while object storage does not answer; `overloaded` */
  admit(): void {
    this.#home.gate.admitWrite(this.#lag);
  }

  #mayWrite(): boolean {
    return this.#home.gate.mayWrite(this.#lag);
  }

  #transact<T>(seen: RequestObservation, fn: (tx: WriteTransaction) => T): T | Promise<Awaited<T>> {
    const { lock } = this.#home;
    let tx: Transaction;
    let result: T;
    try {
      tx = new Transaction(this.#begin([seen]));
      this.#beforeOne();
    } catch (error) {
      this.#rollback();
      lock.leave();
      throw asSystemError(error, `write ${this.name}`);
    }
    try {
      result = fn(tx);
      if (!isThenable(result)) this.#finish(tx, seen);
    } catch (error) {
      tx.end();
      this.#rollback();
      lock.leave();
      throw asSystemError(error, `write ${this.name}`);
    }
    if (isThenable(result)) return this.#finishLater(tx, seen, result) as Promise<Awaited<T>>;
    lock.leave();
    return result;
  }

  async #finishLater(tx: Transaction, seen: RequestObservation, result: Promise<unknown>): Promise<unknown> {
    try {
      const value = await result;
      this.#home.checkHere();
      this.#finish(tx, seen);
      return value;
    } catch (error) {
      tx.end();
      this.#rollback();
      throw asSystemError(error, `write ${this.name}`);
    } finally {
      this.#home.lock.leave();
    }
  }

  /** Under the write lock. */
  #begin(seen: readonly RequestObservation[]): Connection {
    this.#home.checkHere();
    // Whatever the transaction finds, an error included, comes from commits that may not be durable yet.
    for (const one of seen) one.note(this);
    const writer = this.#files.openWarm();
    writer.run("BEGIN IMMEDIATE");
    return writer;
  }

  #beforeOne(): void {
    if (this.#home.quota !== undefined) this.#bytesBefore = this.#files.pageBytes();
  }

  /** What does not grow may always be committed: deletions free a tenant that is full. */
  #checkQuota({ growth }: Transaction): void {
    const { quota } = this.#home;
    if (quota === undefined || growth === undefined) return;
    const bytes = this.#files.pageBytes();
    if (growth > 0 || bytes > this.#bytesBefore) quota.checkGrowth(this, bytes, growth);
  }

  #finish(tx: Transaction, seen: RequestObservation): void {
    this.#checkQuota(tx);
    this.#commit([{ tx, seen }]);
  }

  /** @param others - their part was undone, but they have seen the rest */
  #commit(written: readonly Written[], others: readonly RequestObservation[] = []): void {
    this.#files.writer?.run("COMMIT");
    const effects = written.map(({ tx }) => tx.end());
    const mark = this.#committed(written.map(({ seen }) => seen));
    for (const seen of others) seen.note(this);
    // The commit stands; its caller must hear of it, not of a broken listener.
    const failed = (error: unknown): void => this.#home.effectFailed(error);
    for (const { afterDurable } of effects) {
      if (afterDurable.length === 0) continue;
      void runWhenDurable(this.#home.gate.durable(this.position, mark), afterDurable, failed);
    }
    for (const { afterCommit } of effects) runEffects(afterCommit, failed);
  }

  #committed(seen: readonly RequestObservation[]): CommitMark {
    const mark = this.position.committed(this.#home.clock.monotonicMs());
    for (const one of seen) one.noteWrite(this);
    try {
      this.#files.capture?.committed();
      this.#home.dirty(!this.isAsync || this.position.isAwaited || this.#lag.isWorthCut);
    } catch (error) {
      this.#home.broken(error);
    }
    return mark;
  }

  #rollback(): void {
    // SQLite has rolled back by itself after the worst errors, and a lost tenant's connection is closed.
    const { writer } = this.#files;
    if (writer?.inTransaction === true) writer.run("ROLLBACK");
  }
}

function noting(seen: Observation): RequestObservation {
  if (seen instanceof RequestObservation) return seen;
  throw new TypeError("Cannot use this observation: take one from tenant.observe()");
}
