import type { Incarnation, Revision, TenantId } from "../../shared/ids.ts";
import type { TenantState } from "../../shared/protocol/internal.ts";
import type { Change, Kv } from "../store/contract.ts";
import { DueIndex } from "./due-index.ts";
import { type Key, PREFIXES } from "./keys.ts";
import type { PinRecord, TenantRecord, TokenRecord, WorkerRecord } from "./records.ts";
import { isClosed } from "./tenant-parts.ts";
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

/** Of these there are as many as tenants. */
const NUMEROUS = [PREFIXES.tenant, PREFIXES.slug, PREFIXES.metadata, PREFIXES.idempotency, PREFIXES.domain];

/**
 * One replica's copy of the state with the indexes that commands need, fed by follow.ts. Invariant: after `apply` it equals
 * the store at `revision`. Audit entries are counted, not kept. Rows of which there are many are kept as the store gave them: text that
 * the raft engine has anyway, parsed at each look (a microsecond); with parsed copies a replica would need half as much memory again.
 */
export class Table implements View {
  #revision = 0 as Revision;
  readonly #rows = new Map<string, Kv>();
  readonly #workers = new Map<string, WorkerRecord>();
  readonly #tokens = new Map<string, TokenRecord>();
  readonly #owned = new Map<Incarnation, Set<TenantId>>();
  readonly #moving = new Set<TenantId>();
  readonly #deleted = new Set<TenantId>();
  readonly #branches = new Map<TenantId, Set<TenantId>>();
  readonly #pins = new Map<string, PinRecord>();
  readonly #archiving = new Set<TenantId>();
  readonly #due = new DueIndex();
  readonly #tails = new Map<Incarnation, number>();
  readonly #byState = new Map<TenantState, number>();
  readonly #listeners = new Set<TableListener>();
  #auditEntries = 0;

  get revision(): Revision {
    return this.#revision;
  }

  get auditEntries(): number {
    return this.#auditEntries;
  }

  get<T>(key: Key<T>): T | undefined {
    return this.#rows.get(key)?.value as T | undefined;
  }

  modRev(key: string): Revision {
    return this.#rows.get(key)?.modRev ?? (0 as Revision);
  }

  tenantsOf(incarnation: Incarnation): ReadonlySet<TenantId> {
    return this.#owned.get(incarnation) ?? NOBODY;
  }

  workers(): Iterable<WorkerRecord> {
    return this.#workers.values();
  }

  tokens(): Iterable<[string, TokenRecord]> {
    return this.#tokens;
  }

  /** Tenants on their way. */
  moving(): ReadonlySet<TenantId> {
    return this.#moving;
  }

  /** How many tenants are in each state. */
  states(): ReadonlyMap<TenantState, number> {
    return this.#byState;
  }

  /** Tenants that wait for recovery or purge. */
  deleted(): ReadonlySet<TenantId> {
    return this.#deleted;
  }

  /** Archived tenants whose objects are on their way between storage classes. */
  archiving(): ReadonlySet<TenantId> {
    return this.#archiving;
  }

  /** Tenants that are to be awake at that time, earliest minute first; nobody's whom nobody is to serve. */
  due(untilMs: number): Iterable<TenantId> {
    return this.#due.until(untilMs);
  }

  /** Tenants that still read of this one's prefix. */
  branchesOf(id: TenantId): ReadonlySet<TenantId> {
    return this.#branches.get(id) ?? NOBODY;
  }

  /** Whether a tenant belongs to this incarnation or may need its log. */
  isNamed(incarnation: Incarnation): boolean {
    return this.#owned.has(incarnation) || this.#tails.has(incarnation);
  }

  /** All rows as they are at `revision`; audit entries are not among them. */
  rows(): Kv[] {
    return [...this.#rows.values()];
  }

  pins(): Iterable<PinRecord> {
    return this.#pins.values();
  }

  /** Live: a walk in slices over turns of the event loop sees newer records too. */
  *tenants(): Generator<TenantRecord> {
    for (const [key, row] of this.#rows) {
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
    this.#rows.clear();
    this.#workers.clear();
    this.#tokens.clear();
    this.#owned.clear();
    this.#moving.clear();
    this.#deleted.clear();
    this.#branches.clear();
    this.#pins.clear();
    this.#archiving.clear();
    this.#due.clear();
    this.#tails.clear();
    this.#byState.clear();
    this.#auditEntries = 0;
    for (const kv of rows) this.#set(kv.key, kv.value, kv);
    this.#revision = revision;
    this.#tell({ reset: revision });
  }

  /** All changes of one revision. What a page of `load` already held is skipped. */
  apply(changes: readonly Change[]): void {
    const applied: Applied[] = [];
    for (const change of changes) {
      const key = change.kind === "put" ? change.kv.key : change.key;
      if (change.rev <= this.modRev(key)) continue;
      const before = this.#rows.get(key)?.value;
      const after = change.kind === "put" ? change.kv.value : undefined;
      this.#set(key, after, change.kind === "put" ? change.kv : undefined);
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

  /** `value` is the row's, parsed; neither: there is none any more. */
  #set(key: string, value: unknown, kv: Kv | undefined): void {
    if (key.startsWith(PREFIXES.audit)) {
      this.#auditEntries += value === undefined ? -1 : 1;
      return;
    }
    if (key.startsWith(PREFIXES.tenant)) {
      this.#index(this.#rows.get(key)?.value as TenantRecord | undefined, value as TenantRecord | undefined);
    }
    if (key.startsWith(PREFIXES.worker)) {
      if (value === undefined) this.#workers.delete(key);
      else this.#workers.set(key, value as WorkerRecord);
    }
    if (key.startsWith(PREFIXES.pin)) {
      if (value === undefined) this.#pins.delete(key);
      else this.#pins.set(key, value as PinRecord);
    }
    if (key.startsWith(PREFIXES.token)) {
      const sha256 = key.slice(PREFIXES.token.length);
      if (value === undefined) this.#tokens.delete(sha256);
      else this.#tokens.set(sha256, value as TokenRecord);
    }
    if (kv === undefined) this.#rows.delete(key);
    else if (NUMEROUS.some((prefix) => key.startsWith(prefix))) this.#rows.set(kv.key, kv);
    else this.#rows.set(key, { key, value, modRev: kv.modRev });
  }

  #index(before: TenantRecord | undefined, after: TenantRecord | undefined): void {
    const id = (after ?? before)?.id;
    if (id === undefined) return;
    if (after?.transfer === undefined) this.#moving.delete(id);
    else this.#moving.add(id);
    if (after?.deletion === undefined) this.#deleted.delete(id);
    else this.#deleted.add(id);
    const moves = after?.state === "archived" && after.archive?.step !== "frozen";
    if (moves) this.#archiving.add(id);
    else this.#archiving.delete(id);
    if (before !== undefined) this.#byState.set(before.state, (this.#byState.get(before.state) ?? 1) - 1);
    if (after !== undefined) this.#byState.set(after.state, (this.#byState.get(after.state) ?? 0) + 1);
    this.#due.set(id, after === undefined || isClosed(after) ? undefined : after.dueMs);
    this.#own(before, after);
    this.#branch(before, after);
    for (const { incarnation } of before?.tails ?? []) this.#countTail(incarnation, -1);
    for (const { incarnation } of after?.tails ?? []) this.#countTail(incarnation, 1);
  }

  #countTail(incarnation: Incarnation, change: number): void {
    const count = (this.#tails.get(incarnation) ?? 0) + change;
    if (count === 0) this.#tails.delete(incarnation);
    else this.#tails.set(incarnation, count);
  }

  #branch(before: TenantRecord | undefined, after: TenantRecord | undefined): void {
    const [from, to] = [before?.origin?.tenant, after?.origin?.tenant];
    if (from === to) return;
    if (from !== undefined && before !== undefined) {
      const left = this.#branches.get(from);
      left?.delete(before.id);
      if (left?.size === 0) this.#branches.delete(from);
    }
    if (to === undefined || after === undefined) return;
    this.#branches.set(to, (this.#branches.get(to) ?? new Set()).add(after.id));
  }

  #own(before: TenantRecord | undefined, after: TenantRecord | undefined): void {
    const from = before?.owner?.incarnation;
    const to = after?.owner?.incarnation;
    if (from === to) return;
    if (from !== undefined && before !== undefined) {
      const left = this.#owned.get(from);
      left?.delete(before.id);
      if (left?.size === 0) this.#owned.delete(from);
    }
    if (to === undefined || after === undefined) return;
    const set = this.#owned.get(to) ?? new Set();
    this.#owned.set(to, set.add(after.id));
  }

  #tell(event: Parameters<TableListener>[0]): void {
    for (const listener of this.#listeners) listener(event);
  }
}
