/** What changed lately, in the tenant's own data.db: so it is there when and only when the change is, on every owner. See DESIGN.md. */
import { limits } from "../../../shared/limits.ts";
import { quoteName } from "../../model/collections/sql-text.ts";
import type { ChangeAction, RecordChange } from "../../model/contract.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import type { Tenant, WriteTransaction } from "../../tenant/contract.ts";

const TABLES = `
CREATE TABLE IF NOT EXISTS _mb_changes (
  position INTEGER PRIMARY KEY NOT NULL, action TEXT NOT NULL, collection TEXT NOT NULL, record TEXT NOT NULL, row TEXT
);
CREATE TABLE IF NOT EXISTS _mb_changes_kept (id INTEGER PRIMARY KEY CHECK (id = 1), floor INTEGER NOT NULL, until INTEGER NOT NULL)`;

/** One change that a client missed. */
export interface NotedChange {
  position: number;
  action: ChangeAction;
  collection: string;
  record: string;
  /** Of a deleted one: JSON of its columns. */
  row: string | null;
}

/**
 * Positions rise, and no position comes twice, not even after a restore to an earlier time: they are microseconds of the wall clock
 * where that is ahead. Every change above `floor` is here, so a client is told all that it missed if its position is `floor` or a
 * row's; a position that is neither is from before the floor, or from a future that a restore or a failover took back.
 */
export class Journal {
  readonly #tenant: Tenant;
  readonly #nowMs: () => number;
  #active = false;
  #untilMs = 0;
  #last = 0;
  #noted = 0;

  constructor(tenant: Tenant, nowMs: () => number = Date.now) {
    this.#tenant = tenant;
    this.#nowMs = nowMs;
    tenant.data.read(tenant.observe(), (db) => {
      const kept = keptOf(db);
      if (kept === undefined) return;
      // The owner before noted everything until then: so must this one, from its first write on.
      this.#untilMs = kept.until;
      this.#active = nowMs() < kept.until;
      this.#last = newestOf(db, kept.floor);
    });
    tenant.onReplaced(() => this.#forget());
  }

  /** Notes changes from now on for a while. One small write, at most every three quarters of an hour. */
  keep(): void {
    const nowMs = this.#nowMs();
    if (this.#active && this.#untilMs - nowMs > limits.realtimeJournalActiveMs / 2) return;
    const untilMs = nowMs + limits.realtimeJournalActiveMs;
    const written = this.#tenant.data.write(this.#tenant.observe(), (tx) => {
      tx.exec(TABLES);
      const kept = this.#isOver(nowMs) ? undefined : keptOf(tx);
      const floor = kept?.floor ?? this.#next();
      if (kept === undefined) tx.run("DELETE FROM _mb_changes");
      tx.run("INSERT OR REPLACE INTO _mb_changes_kept (id, floor, until) VALUES (1, ?, ?)", [floor, untilMs]);
      tx.afterCommit(() => {
        this.#active = true;
        this.#untilMs = untilMs;
      });
    });
    // Somebody writes for long: the client does without for now.
    if (written instanceof Promise) written.catch(() => undefined);
  }

  /** In the transaction of the change, by every listener's transaction alike. @returns its position; 0 when nobody may ask for it */
  note(tx: WriteTransaction, { action, collection, record }: RecordChange, hasClients: boolean): number {
    if (!this.#active) return 0;
    if (!hasClients && this.#isOver(this.#nowMs())) {
      this.#active = false;
      return 0;
    }
    const position = this.#next();
    const row = action === "delete" ? this.#rowOf(collection.name, record.id) : null;
    tx.run("INSERT INTO _mb_changes (position, action, collection, record, row) VALUES (?, ?, ?, ?, ?)", [
      ...[position, action, collection.id, record.id, row],
    ]);
    this.#noted += 1;
    if (this.#noted % limits.realtimeJournalPruneEvery === 0) this.#prune(tx);
    return position;
  }

  /** The position of whoever has seen everything; 0 when nothing is noted. */
  newest(): number {
    if (!this.#active) return 0;
    return this.#tenant.data.read(this.#tenant.observe(), (db) => {
      const kept = keptOf(db);
      return kept === undefined ? 0 : newestOf(db, kept.floor);
    });
  }

  /** All changes after `position`, oldest first; undefined when they are not all here, or too many. */
  since(db: SqlReader, position: number): NotedChange[] | undefined {
    const kept = this.#active ? keptOf(db) : undefined;
    if (kept === undefined) return undefined;
    const known =
      position === kept.floor ||
      db.get("SELECT 1 FROM _mb_changes WHERE position = ?", [position]) !== undefined;
    if (!known) return undefined;
    const rows = db.all<NotedChange>(
      `SELECT * FROM _mb_changes WHERE position > ? ORDER BY position LIMIT ${limits.realtimeReplayMax + 1}`,
      [position],
    );
    return rows.length > limits.realtimeReplayMax ? undefined : rows;
  }

  /** The content is another: what it says of itself is of another time. Its next owner must not believe that either. */
  #forget(): void {
    this.#active = false;
    const written = this.#tenant.data.write(this.#tenant.observe(), (tx) => {
      if (!this.#active && keptOf(tx) !== undefined) tx.exec("DELETE FROM _mb_changes_kept");
    });
    // Where it fails a next owner may claim too much: no restore fails for that.
    if (written instanceof Promise) written.catch(() => undefined);
  }

  /** The next owner's clock may be behind: it must not believe that this one still noted what it did not. */
  #isOver(nowMs: number): boolean {
    return !this.#active || nowMs > this.#untilMs + limits.clockSkewMsMax;
  }

  #next(): number {
    this.#last = Math.max(this.#last + 1, this.#nowMs() * 1000);
    return this.#last;
  }

  /** As the read-only connection still sees it. */
  #rowOf(table: string, id: string): string | null {
    return this.#tenant.data.read(this.#tenant.observe(), (db) => {
      const row = db.get(`SELECT * FROM ${quoteName(table)} WHERE id = ?`, [id]);
      const text = row === undefined ? null : JSON.stringify(row);
      return text !== null && text.length <= limits.realtimeJournalRowCharactersMax ? text : null;
    });
  }

  #prune(tx: WriteTransaction): void {
    const old = (this.#nowMs() - limits.realtimeJournalMsMax) * 1000;
    const [surplus] = tx.values(
      `SELECT position FROM _mb_changes ORDER BY position DESC LIMIT 1 OFFSET ${limits.realtimeJournalRowsMax}`,
    );
    const upTo = Math.max(old, Number(surplus?.[0] ?? 0));
    const [newest] = tx.values("SELECT max(position) FROM _mb_changes WHERE position <= ?", [upTo]);
    if (typeof newest?.[0] !== "number") return;
    tx.run("DELETE FROM _mb_changes WHERE position <= ?", [newest[0]]);
    tx.run("UPDATE _mb_changes_kept SET floor = ?", [newest[0]]);
  }
}

function keptOf(db: SqlReader): { floor: number; until: number } | undefined {
  const exists = db.get("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_mb_changes_kept'");
  return exists === undefined ? undefined : db.get("SELECT floor, until FROM _mb_changes_kept");
}

function newestOf(db: SqlReader, floor: number): number {
  return Number(db.values("SELECT max(position) FROM _mb_changes")[0]?.[0] ?? floor);
}
