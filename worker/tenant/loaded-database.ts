import { rmSync, statSync } from "node:fs";
import { SystemError } from "../../shared/errors.ts";
import { AUXILIARY_DB, DATA_DB, type DatabaseName } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { LtxPage } from "../../shared/ltx/ltx.ts";
import type { BulkFacts, BulkFile } from "../replication/bulk/work.ts";
import { type Cut, DatabaseCapture } from "../replication/capture.ts";
import type { Lagging } from "../replication/gate.ts";
import type { DatabaseLedger } from "../replication/ledger.ts";
import type { DatabaseImage } from "../replication/prefix-writer.ts";
import { type CommitMark, DatabasePosition } from "../replication/position.ts";
import { type Connection, asSystemError } from "../sqlite/connection.ts";
import type { SqlReader } from "../sqlite/contract.ts";
import { openReader, openWriter } from "../sqlite/open.ts";
import type { LentFile, Observation, TenantDatabase, WriteTransaction } from "./contract.ts";
import type { DatabaseHome, LoadedFrom } from "./database-home.ts";
import { Lending } from "./lending.ts";
import { RequestObservation } from "./observation.ts";
import { Transaction, isThenable } from "./transaction.ts";
import type { Closable } from "./idle-lru.ts";

/** One of a tenant's databases on this worker: connections, capture, and how far it has come. Opened at its first use. */
export class LoadedDatabase implements TenantDatabase {
  readonly name: DatabaseName;
  readonly isAsync: boolean;
  readonly position: DatabasePosition;
  readonly ledger: DatabaseLedger;
  readonly #home: DatabaseHome;
  readonly #from: LoadedFrom;
  readonly #idleReader: Closable = { closeIdle: () => this.#closeReader() };
  readonly #warmWriter: Closable = { closeIdle: () => this.#cool() };
  readonly #idleWriter: Closable = { closeIdle: () => this.#closeIdle() };
  readonly #lagging: Lagging;
  #writer: Connection | undefined;
  #reader: Connection | undefined;
  #capture: DatabaseCapture | undefined;
  #timestampMs: number;
  #walLookedMs = -Infinity;
  #walBytes = 0;
  #imageWanted: ((image: DatabaseImage | undefined) => void)[] = [];
  readonly #lending: Lending;

  constructor(name: DatabaseName, home: DatabaseHome, from: LoadedFrom) {
    this.name = name;
    this.#home = home;
    this.#from = from;
    this.#timestampMs = from.timestampMs;
    this.isAsync = home.durability === "async" || name === AUXILIARY_DB;
    this.position = new DatabasePosition(name, from.position);
    this.#lagging = { async: this.isAsync, position: this.position, lagBytes: this.lagBytes };
    this.ledger = from.ledger;
    this.#lending = new Lending({
      home,
      path: from.path,
      enter: () => this.#enterLater(),
      note: (seen) => seen.note(this),
      open: () => {
        if (name !== DATA_DB) home.secondaries.used(this.#idleWriter);
        const { writer, capture } = this.#open();
        capture.lent();
        return writer;
      },
      committed: (seen) => void this.#committed(seen),
    });
  }

  /** Of the newest TXID. */
  get timestampMs(): number {
    return this.#timestampMs;
  }

  get path(): string {
    return this.#from.path;
  }

  /** Of the file; what is only in the WAL does not count. */
  get fileBytes(): number {
    return statSync(this.path, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Opens the writer: whether the file is usable is known at load, not at the first request. */
  open(): void {
    this.#open();
  }

  /** Bytes that are not durable: what was cut, and what is still only in the WAL, as of a moment ago. */
  readonly lagBytes = (): number => {
    const { pendingBytes, dirty } = this.position;
    if (!dirty || this.#capture === undefined) return pendingBytes;
    const nowMs = this.#home.clock.monotonicMs();
    // Asked for with each request, and a look costs more than many requests do otherwise.
    if (nowMs - this.#walLookedMs >= limits.asyncLagLookMs) {
      this.#walLookedMs = nowMs;
      this.#walBytes = this.#capture.unreadBytes(this.#home.gate.asyncLagBytesMax - pendingBytes);
    }
    return pendingBytes + this.#walBytes;
  };

  read<T>(seen: Observation, fn: (db: SqlReader) => T): T {
    this.#home.checkHere();
    noting(seen).note(this);
    this.#reader ??= this.#openReader();
    this.#home.readers.used(this.#idleReader);
    try {
      return fn(this.#reader);
    } catch (error) {
      throw asSystemError(error, `read ${this.name}`);
    }
  }

  write<T>(seen: Observation, fn: (tx: WriteTransaction) => T): T | Promise<Awaited<T>> {
    const { lock } = this.#home;
    this.#home.checkWritable();
    if (this.#mayWrite() && lock.tryEnter()) return this.#transact(noting(seen), fn);
    return this.#writeLater(noting(seen), fn);
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
      await gate.admission(this.#lagging, deadlineMs);
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

  /** Loaded, and maybe not used for long: what its load has read need not be kept. */
  rest(): void {
    this.#home.readers.forget(this.#idleReader);
    this.#closeReader();
    this.#cool();
  }

  /**
   * Everything committed since the last cut.
   * @param inlineBytesMax - a larger one goes to the log by reference
   * @throws SystemError `wal_lost`: the tenant must stop
   */
  cut(inlineBytesMax: number): Cut | undefined {
    if (!this.position.dirty || this.#capture === undefined || this.#writer === undefined) return undefined;
    const cut = this.#capture.cut(inlineBytesMax);
    this.#cutDone(cut);
    const inTransaction = this.#writer.inTransaction || this.#lending.isLent;
    if (!inTransaction) this.#capture.checkpoint(this.#writer, "PASSIVE");
    this.#serveImages();
    return cut;
  }

  /** The cut of a whole file that is about to take this database's place. Under the write lock, with nothing dirty. */
  cutFile(file: { pageSize: number; commit: number; pages: Iterable<LtxPage> }): Cut {
    return this.#open().capture.cutFile(file);
  }

  /** As `cutFile`, by way of an LTX file that `encode` makes with these facts. */
  async cutEncoded(encode: (facts: BulkFacts) => Promise<BulkFile & { sha256: string }>): Promise<Cut> {
    const { capture } = this.#open();
    const encoded = await encode(capture.nextFacts());
    this.#home.checkHere();
    return capture.cutEncoded(encoded);
  }

  /** Puts the file of `cut` in place. @param place - moves it to `path`; nothing has it open then */
  replace(cut: Cut, place: () => void): void {
    const { capture } = this.#open();
    this.#closeConnections();
    for (const suffix of ["", "-wal", "-shm"]) rmSync(`${this.path}${suffix}`, { force: true });
    place();
    this.#writer = openWriter(this.path, { functions: this.#home.functions });
    capture.replaced();
    this.position.committed(this.#home.clock.monotonicMs());
    this.#cutDone(cut);
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
      this.#open().writer.exec("VACUUM");
      this.#committed(noting(seen));
    } finally {
      lock.leave();
    }
  }

  /** The content as of a cut; resolves when that cut is durable. */
  async image(): Promise<DatabaseImage | undefined> {
    this.#home.checkHere();
    const image = await new Promise<DatabaseImage | undefined>((resolve) => {
      this.#imageWanted.push(resolve);
      if (!this.position.dirty && !this.#lending.isCommitting) this.#serveImages();
    });
    if (image !== undefined) await this.#home.gate.durable(this.position, this.position.mark);
    return image;
  }

  /** When nothing is dirty and nobody writes: the WAL need not take room. */
  truncateWal(): void {
    if (this.position.dirty || this.#home.lock.held || this.#writer === undefined) return;
    this.#capture?.checkpoint(this.#writer, "TRUNCATE");
  }

  close(reason: SystemError): void {
    this.position.fail(reason);
    for (const resolve of this.#imageWanted) resolve(undefined);
    this.#imageWanted = [];
    this.#capture?.close();
    this.#capture = undefined;
    this.#home.secondaries.forget(this.#idleWriter);
    this.#home.warm.forget(this.#warmWriter);
    this.#closeConnections();
  }

  /** @throws SystemError `store_unavailable` while object storage does not answer; `overloaded` */
  admit(): void {
    this.#home.gate.admitWrite(this.#lagging);
  }

  #mayWrite(): boolean {
    return this.#home.gate.mayWrite(this.#lagging);
  }

  #transact<T>(seen: RequestObservation, fn: (tx: WriteTransaction) => T): T | Promise<Awaited<T>> {
    const { lock } = this.#home;
    let tx: Transaction;
    let result: T;
    try {
      this.#home.checkHere();
      // Whatever the transaction finds, an error included, comes from commits that may not be durable yet.
      seen.note(this);
      const { writer } = this.#open();
      if (this.name !== DATA_DB) this.#home.secondaries.used(this.#idleWriter);
      this.#home.warm.used(this.#warmWriter);
      writer.run("BEGIN IMMEDIATE");
      tx = new Transaction(writer);
    } catch (error) {
      lock.leave();
      throw asSystemError(error, `write ${this.name}`);
    }
    try {
      result = fn(tx);
      if (!isThenable(result)) this.#commit(tx, seen);
    } catch (error) {
      this.#rollback(tx);
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
      this.#commit(tx, seen);
      return value;
    } catch (error) {
      this.#rollback(tx);
      throw asSystemError(error, `write ${this.name}`);
    } finally {
      this.#home.lock.leave();
    }
  }

  #commit(tx: Transaction, seen: RequestObservation): void {
    this.#writer?.run("COMMIT");
    const { afterCommit, afterDurable } = tx.end();
    const mark = this.#committed(seen);
    if (afterDurable.length > 0) void this.#runWhenDurable(mark, afterDurable);
    for (const effect of afterCommit) {
      try {
        effect();
      } catch (error) {
        // The commit stands; its caller must hear of it, not of a broken listener.
        this.#home.effectFailed(error);
      }
    }
  }

  #committed(seen: RequestObservation): CommitMark {
    const mark = this.position.committed(this.#home.clock.monotonicMs());
    seen.noteWrite(this);
    try {
      this.#capture?.committed();
      this.#home.dirty(this);
    } catch (error) {
      this.#home.broken(error);
    }
    return mark;
  }

  async #runWhenDurable(mark: number, effects: readonly (() => void | Promise<void>)[]): Promise<void> {
    try {
      await this.#home.gate.durable(this.position, mark);
    } catch {
      // The tenant was lost before: its next owner knows nothing of this commit, so neither may anyone else.
      return;
    }
    for (const effect of effects) {
      try {
        await effect();
      } catch (error) {
        this.#home.effectFailed(error);
      }
    }
  }

  #rollback(tx: Transaction): void {
    tx.end();
    // SQLite has rolled back by itself after the worst errors, and a lost tenant's connection is closed.
    if (this.#writer?.inTransaction === true) this.#writer.run("ROLLBACK");
  }

  #cutDone(cut: Cut | undefined): void {
    this.#walLookedMs = -Infinity;
    const now = this.#home.clock.monotonicMs();
    if (cut === undefined) this.position.cut(this.position.captured, 0, now);
    else {
      this.#timestampMs = cut.timestampMs;
      this.position.cut(cut.position, cut.bytes, now);
    }
  }

  #serveImages(): void {
    if (this.#imageWanted.length === 0) return;
    this.#reader ??= this.#openReader();
    const image: DatabaseImage = {
      image: this.#reader.image(),
      txid: this.position.captured.txid,
      epoch: this.#home.epoch,
      timestampMs: this.#timestampMs,
    };
    for (const resolve of this.#imageWanted) resolve(image);
    this.#imageWanted = [];
  }

  #open(): { writer: Connection; capture: DatabaseCapture } {
    if (this.#writer === undefined || this.#capture === undefined) {
      const { id, epoch, clock, functions, ciphers } = this.#home;
      const { path, position, entryHash, timestampMs } = this.#from;
      const writer = openWriter(path, { functions });
      try {
        this.#capture = new DatabaseCapture(
          {
            tenant: id,
            database: this.name,
            epoch,
            path,
            clock,
            ciphers,
            txid: position.txid,
            entryHash,
            timestampMs,
          },
          writer,
        );
      } catch (error) {
        writer.close();
        throw error;
      }
      this.#writer = writer;
    }
    return { writer: this.#writer, capture: this.#capture };
  }

  #openReader(): Connection {
    // The writer makes the file and its WAL index; a read-only connection cannot.
    this.#open();
    if (this.name !== DATA_DB) this.#home.secondaries.used(this.#idleWriter);
    return openReader(this.path, { functions: this.#home.functions });
  }

  #cool(): boolean {
    if (this.#writer?.inTransaction === true) return false;
    this.#writer?.shrink();
    return true;
  }

  #closeReader(): boolean {
    this.#reader?.close();
    this.#reader = undefined;
    return true;
  }

  /** Only at a cut, with nobody inside: SQLite then moves the whole WAL, which was captured, into the file. */
  #closeIdle(): boolean {
    const idle = !this.position.dirty && !this.#home.lock.held && this.#imageWanted.length === 0;
    if (!idle || this.#capture === undefined) return false;
    this.#from.position = this.position.captured;
    this.#from.entryHash = this.#capture.entryHash;
    this.#from.timestampMs = this.#timestampMs;
    this.#capture.close();
    this.#capture = undefined;
    this.#closeConnections();
    return true;
  }

  #closeConnections(): void {
    this.#home.readers.forget(this.#idleReader);
    this.#closeReader();
    this.#writer?.close();
    this.#writer = undefined;
  }
}

function noting(seen: Observation): RequestObservation {
  if (seen instanceof RequestObservation) return seen;
  throw new TypeError("Cannot use this observation: take one from tenant.observe()");
}
