import { statSync } from "node:fs";
import { DATA_DB, type DatabaseName } from "../../shared/ids.ts";
import { DatabaseCapture } from "../replication/capture.ts";
import type { DatabasePosition } from "../replication/position.ts";
import type { Connection } from "../sqlite/connection.ts";
import { openReader, openWriter } from "../sqlite/open.ts";
import type { DatabaseHome, LoadedFrom } from "./database-home.ts";
import type { Closable } from "./idle-lru.ts";

/** What one database has open here: writer, reader, capture. Opened at their first use, closed when others are used more. */
export class DatabaseFiles {
  readonly #name: DatabaseName;
  readonly #home: DatabaseHome;
  readonly #from: LoadedFrom;
  readonly #position: DatabasePosition;
  readonly #isIdle: () => boolean;
  readonly #idleReader: Closable = { closeIdle: () => this.#closeReader() };
  readonly #warmWriter: Closable = { closeIdle: () => this.#cool() };
  readonly #idleWriter: Closable = { closeIdle: () => this.#closeIdle() };
  #writer: Connection | undefined;
  #reader: Connection | undefined;
  #capture: DatabaseCapture | undefined;
  /** Of the newest TXID. */
  timestampMs: number;

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

  /** Undefined while it is not open. */
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

  /** As of the newest commit; a file that nobody has opened yet is as long as it is. */
  get bytes(): number {
    return this.#reader === undefined && this.#writer === undefined ? this.fileBytes : this.pageBytes();
  }

  /** Pages of an open transaction count. */
  pageBytes(): number {
    const db = this.#writer ?? this.#reader;
    const pages = Number(db?.values("PRAGMA page_count")[0]?.[0] ?? 0);
    return pages * Number(db?.values("PRAGMA page_size")[0]?.[0] ?? 0);
  }

  open(): { writer: Connection; capture: DatabaseCapture } {
    if (this.#writer === undefined || this.#capture === undefined) {
      const { id, epoch, clock, functions, ciphers } = this.#home;
      const { path, position, entryHash, timestampMs } = this.#from;
      const writer = openWriter(path, { functions });
      try {
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
    return { writer: this.#writer, capture: this.#capture };
  }

  /** For a lent file: of the tenant's main database the writer stays open anyway. */
  openUsed(): { writer: Connection; capture: DatabaseCapture } {
    this.#used();
    return this.open();
  }

  /** For a transaction. */
  openWarm(): Connection {
    const { writer } = this.open();
    this.#used();
    this.#home.warm.used(this.#warmWriter);
    return writer;
  }

  /** For a read of a request. */
  openIdleReader(): Connection {
    const reader = this.reader();
    this.#home.readers.used(this.#idleReader);
    return reader;
  }

  reader(): Connection {
    this.#reader ??= this.#openReader();
    return this.#reader;
  }

  /** Another file takes its place. @param place - moves it to `path`; nothing has it open then */
  replace(place: () => void): void {
    const { capture } = this.open();
    this.#closeConnections();
    place();
    this.#writer = openWriter(this.path, { functions: this.#home.functions });
    capture.replaced();
  }

  /** Loaded, and maybe not used for long: what its load has read need not be kept. */
  rest(): void {
    this.#home.readers.forget(this.#idleReader);
    this.#closeReader();
    this.#cool();
  }

  close(): void {
    this.#capture?.close();
    this.#capture = undefined;
    this.#home.secondaries.forget(this.#idleWriter);
    this.#home.warm.forget(this.#warmWriter);
    this.#closeConnections();
  }

  #used(): void {
    if (this.#name !== DATA_DB) this.#home.secondaries.used(this.#idleWriter);
  }

  #openReader(): Connection {
    // The writer makes the file and its WAL index; a read-only connection cannot.
    this.open();
    this.#used();
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
    if (!this.#isIdle() || this.#capture === undefined) return false;
    this.#from.position = this.#position.captured;
    this.#from.entryHash = this.#capture.entryHash;
    this.#from.timestampMs = this.timestampMs;
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
