import type { Incarnation, Revision, TenantId } from "../../shared/ids.ts";
import type { TenantState } from "../../shared/protocol/internal.ts";
import type { Change, Kv } from "../store/contract.ts";
import { type Key, PREFIXES } from "./keys.ts";
import type { PinRecord, TenantRecord, TokenRecord, WorkerRecord } from "./records.ts";
import { TableContents } from "./table-contents.ts";
import type { View } from "./view.ts";

/** What one revision did to a key; `before` and `after` are the records, undefined where there is none. */
export interface Applied {
  key: string;
  before: unknown;
  after: unknown;
}

/** Told after every revision, in order; `reset` when the table was loaded anew and the steps between are unknown. */
export type TableListener = (event: { rev: Revision; applied: Applied[] } | { reset: Revision }) => void;

const NOBODY: ReadonlySet<TenantId> = new Set();

/** One replica's copy of the state, fed by follow.ts. Invariant: after `apply` it equals the store at `revision`. */
export class Table implements View {
  #revision = 0 as Revision;
  #contents = new TableContents();
  readonly #listeners = new Set<TableListener>();

  get revision(): Revision {
    return this.#revision;
  }

  get auditEntries(): number {
    return this.#contents.auditEntries;
  }

  get<T>(key: Key<T>): T | undefined {
    return this.#contents.rows.get(key)?.value as T | undefined;
  }

  modRev(key: string): Revision {
    return this.#contents.rows.get(key)?.modRev ?? (0 as Revision);
  }

  tenantsOf(incarnation: Incarnation): ReadonlySet<TenantId> {
    return this.#contents.owned.get(incarnation) ?? NOBODY;
  }

  workers(): Iterable<WorkerRecord> {
    return this.#contents.workers.values();
  }

  tokens(): Iterable<[string, TokenRecord]> {
    return this.#contents.tokens;
  }

  /** Tenants on their way. */
  moving(): ReadonlySet<TenantId> {
    return this.#contents.moving;
  }

  /** How many tenants are in each state. */
  states(): ReadonlyMap<TenantState, number> {
    return this.#contents.byState;
  }

  /** Tenants that wait for recovery or purge. */
  deleted(): ReadonlySet<TenantId> {
    return this.#contents.deleted;
  }

  /** Archived tenants whose objects are on their way between storage classes. */
  archiving(): ReadonlySet<TenantId> {
    return this.#contents.archiving;
  }

  /** Tenants that are to be awake at that time, earliest minute first; nobody's whom nobody is to serve. */
  due(untilMs: number): Iterable<TenantId> {
    return this.#contents.due.until(untilMs);
  }

  /** Tenants that still read of this one's prefix. */
  branchesOf(id: TenantId): ReadonlySet<TenantId> {
    return this.#contents.branches.get(id) ?? NOBODY;
  }

  /** Whether a tenant belongs to this incarnation or may need its log. */
  isNamed(incarnation: Incarnation): boolean {
    return this.#contents.owned.has(incarnation) || this.#contents.tails.has(incarnation);
  }

  /** All rows as they are at `revision`; audit entries are not among them. */
  rows(): Kv[] {
    return [...this.#contents.rows.values()];
  }

  pins(): Iterable<PinRecord> {
    return this.#contents.pins.values();
  }

  /** Live, until the table is loaded anew: a walk in slices over turns of the event loop sees newer records too. */
  *tenants(): Generator<TenantRecord> {
    for (const [key, row] of this.#contents.rows) {
      if (key.startsWith(PREFIXES.tenant)) yield row.value as TenantRecord;
    }
  }

  /** @returns how to stop listening */
  listen(listener: TableListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Replaces everything. Rows may be newer than `revision` when they were read in pages: later changes repeat them. */
  load(rows: Iterable<Kv>, revision: Revision): void {
    const contents = new TableContents();
    for (const kv of rows) contents.add(kv);
    this.replace(contents, revision);
  }

  /** As `load`, with contents that were put together at leisure. */
  replace(contents: TableContents, revision: Revision): void {
    this.#contents = contents;
    this.#revision = revision;
    this.#tell({ reset: revision });
  }

  /** All changes of one revision. What a page of `load` already held is skipped. */
  apply(changes: readonly Change[]): void {
    const applied: Applied[] = [];
    for (const change of changes) {
      const key = change.kind === "put" ? change.kv.key : change.key;
      if (change.rev <= this.modRev(key)) continue;
      const before = this.#contents.rows.get(key)?.value;
      const kv = change.kind === "put" ? change.kv : undefined;
      const after = kv?.value;
      this.#contents.set(key, before, kv, () => after);
      applied.push({ key, before, after });
    }
    const rev = changes.at(-1)?.rev;
    if (rev === undefined || rev <= this.#revision) return;
    this.#revision = rev;
    this.#tell({ rev, applied });
  }

  /** There was nothing new up to here. */
  progress(rev: Revision): void {
    if (rev <= this.#revision) return;
    this.#revision = rev;
    this.#tell({ rev, applied: [] });
  }

  #tell(event: Parameters<TableListener>[0]): void {
    for (const listener of this.#listeners) listener(event);
  }
}
