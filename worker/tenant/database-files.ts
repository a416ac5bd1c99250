import { statSync } from "node:fs";
import { DATA_DB, type DatabaseName } from "../../shared/ids.ts";
import { DatabaseCapture } from "../replication/capture.ts";
import type { DatabasePosition } from "../replication/position.ts";
import type { Connection } from "../sqlite/connection.ts";
import type { SqlReader } from "../sqlite/contract.ts";
import { openReader, openResting, openWriter, wake } from "../sqlite/open.ts";
import type { FileVisit } from "./contract.ts";
import type { DatabaseHome, LoadedFrom } from "./database-home.ts";
import type { Closable, IdleLru } from "./idle-lru.ts";
import { Reading } from "./reading.ts";

/**
 * What one database has open here. The writer of `data.db` is awake, or rests with nothing but the database file open; writers of
 * others are open or closed. All of it comes at the first use, and goes when others are used more.
 */
export class DatabaseFiles {
  readonly #name: DatabaseName;
  readonly #home: DatabaseHome;
  readonly #from: LoadedFrom;
  readonly #position: DatabasePosition;
  readonly #isIdle: () => boolean;
  readonly #idleReader: Closable = { closeIdle: () => this.#closeReader() };
  readonly #warmWriter: Closable = { closeIdle: () => this.#cool() };
  readonly #idleWriter: Closable = { closeIdle: () => this.#closeIdle() };
  /** Awake. */
  #writer: Connection | undefined;
  #resting: Connection | undefined;
  #reader: Connection | undefined;
  #capture: DatabaseCapture | undefined;
  #visits = 0;
  /** Of the newest TXID. */
  timestampMs: number;
  /** For requests: the newest commit, never what an open transaction has written. */
  readonly reading: SqlReader = new Reading(() => this.#reading());

  /** @param isIdle - nothing waits for a cut, and nobody is inside */
  constructor(
    name: DatabaseName,
    home: DatabaseHome,
    from: LoadedFrom,
    position: DatabasePosition,
    isIdle: () => boolean,
  ) {
    this.#name = name;
    this.#home = home;
    this.#from = from;
    this.#position = position;
    this.#isIdle = isIdle;
    this.timestampMs = from.timestampMs;
  }

  get path(): string {
    return this.#from.path;
  }

  /** Undefined while it rests or is closed. */
  get writer(): Connection | undefined {
    return this.#writer;
  }

  get capture(): DatabaseCapture | undefined {
    return this.#capture;
  }

  /** Of the file; what is only in the WAL does not count. */
  get fileBytes(): number {
    return statSync(this.path, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** As of the newest commit; a file whose writer is not awake is as long as it is. */
  get bytes(): number {
    return this.#writer === undefined ? this.fileBytes : this.pageBytes();
  }

  /** Pages of an open transaction count. */
  pageBytes(): number {
    const pages = Number(this.#writer?.values("PRAGMA page_count")[0]?.[0] ?? 0);
    return pages * Number(this.#writer?.values("PRAGMA page_size")[0]?.[0] ?? 0);
  }

  open(): { writer: Connection; capture: DatabaseCapture } {
    if (this.#writer === undefined || this.#capture === undefined) {
      const { id, epoch, clock, functions, ciphers } = this.#home;
      const { path, position, entryHash, timestampMs } = this.#from;
      const writer = this.#resting ?? openResting(path, { functions });
      this.#resting = undefined;
      try {
        wake(writer);
        this.#capture = new DatabaseCapture(
          {
            tenant: id,
            database: this.#name,
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
    this.#awake.used(this.#idleWriter);
    return { writer: this.#writer, capture: this.#capture };
  }

  /** With a page cache, for a while. */
  openWarm(): Connection {
    const { writer } = this.open();
    this.#keepWarm();
    return writer;
  }

  /** The content, as of the newest commit. */
  image(): Uint8Array {
    const { writer } = this.open();
    return (writer.inTransaction ? this.#openReader() : writer).image();
  }

  /** Another process or thread reads the file: it stays as it is, and its writer awake. */
  visit(): FileVisit {
    this.open();
    this.#visits++;
    let here = true;
    const left = (): void => {
      if (here) this.#visits--;
      here = false;
    };
    return { path: this.path, left };
  }

  /** Another file takes its place. @param place - moves it to `path`; nothing has it open then */
  replace(place: () => void): void {
    const { capture } = this.open();
    this.#closeConnections();
    place();
    this.#writer = openWriter(this.path, { functions: this.#home.functions });
    capture.replaced();
  }

  rest(): void {
    this.#home.warm.forget(this.#warmWriter);
    this.#cool();
    this.#home.readers.forget(this.#idleReader);
    this.#closeReader();
  }

  /** Everything committed is cut: one of them may be closed again. */
  trimSecondaries(): void {
    if (this.#name !== DATA_DB) this.#home.secondaries.trim();
  }

  /** Its newest commits are old: `data.db` stays as it is, others are opened when somebody comes. */
  closeSecondary(): void {
    if (this.#name !== DATA_DB && this.#closeIdle()) this.#awake.forget(this.#idleWriter);
  }

  close(): void {
    this.#capture?.close();
    this.#capture = undefined;
    this.#awake.forget(this.#idleWriter);
    this.#home.warm.forget(this.#warmWriter);
    this.#closeConnections();
  }

  /** A second connection has its own page cache and schema, so it is opened only beside an open transaction. */
  #reading(): SqlReader {
    const { writer } = this.open();
    if (this.#home.lock.held && writer.inTransaction) return this.#openReader();
    this.#keepWarm();
    return writer.guarded;
  }

  #openReader(): Connection {
    this.#reader ??= openReader(this.path, { functions: this.#home.functions });
    this.#home.readers.used(this.#idleReader);
    return this.#reader;
  }

  /** The others' page caches go with the connection. */
  #keepWarm(): void {
    if (this.#name === DATA_DB) this.#home.warm.used(this.#warmWriter);
  }

  get #awake(): IdleLru {
    return this.#name === DATA_DB ? this.#home.awake : this.#home.secondaries;
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
    if (!this.#isIdle() || this.#visits > 0 || this.#capture === undefined) return false;
    this.#from.position = this.#position.captured;
    this.#from.entryHash = this.#capture.entryHash;
    this.#from.timestampMs = this.timestampMs;
    this.#capture.close();
    this.#capture = undefined;
    this.#home.warm.forget(this.#warmWriter);
    this.#closeConnections();
    if (this.#name === DATA_DB) this.#resting = openResting(this.path, { functions: this.#home.functions });
    return true;
  }

  #closeConnections(): void {
    this.#home.readers.forget(this.#idleReader);
    this.#closeReader();
    this.#writer?.close();
    this.#writer = undefined;
    this.#resting?.close();
    this.#resting = undefined;
  }
}
