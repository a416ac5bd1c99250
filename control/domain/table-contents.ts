import type { Incarnation, TenantId } from "../../shared/ids.ts";
import type { TenantState } from "../../shared/protocol/internal.ts";
import type { Kv } from "../store/contract.ts";
import { DueIndex } from "./due-index.ts";
import { PREFIXES } from "./keys.ts";
import type { PinRecord, TenantRecord, TokenRecord, WorkerRecord } from "./records.ts";
import { isClosed } from "./tenant-parts.ts";

/** Of these there are as many as tenants. */
const NUMEROUS: ReadonlySet<string> = new Set([
  PREFIXES.tenant,
  PREFIXES.slug,
  PREFIXES.metadata,
  PREFIXES.idempotency,
  PREFIXES.domain,
]);

/**
 * The rows of a table with the indexes that commands need. Audit entries are counted, not kept. Rows of which there are many are kept as
 * the store gave them: text that the raft engine has anyway, parsed at each look (a microsecond); with parsed copies a replica would need
 * half as much memory again.
 */
export class TableContents {
  readonly rows = new Map<string, Kv>();
  readonly workers = new Map<string, WorkerRecord>();
  readonly tokens = new Map<string, TokenRecord>();
  readonly owned = new Map<Incarnation, Set<TenantId>>();
  readonly moving = new Set<TenantId>();
  readonly deleted = new Set<TenantId>();
  readonly branches = new Map<TenantId, Set<TenantId>>();
  readonly pins = new Map<string, PinRecord>();
  readonly archiving = new Set<TenantId>();
  readonly due = new DueIndex();
  readonly tails = new Map<Incarnation, number>();
  readonly byState = new Map<TenantState, number>();
  auditEntries = 0;

  /** A row that is not here yet. */
  add(kv: Kv): void {
    this.set(kv.key, undefined, kv, () => kv.value);
  }

  /** `kv` undefined: there is none any more. `before` and `after` are the records, parsed; `after` only where that is needed. */
  set(key: string, before: unknown, kv: Kv | undefined, after: () => unknown): void {
    const kind = key.slice(0, key.indexOf("/") + 1);
    switch (kind) {
      case PREFIXES.audit:
        this.auditEntries += kv === undefined ? -1 : 1;
        return;
      case PREFIXES.tenant:
        this.#index(before as TenantRecord | undefined, after() as TenantRecord | undefined);
        break;
      case PREFIXES.worker:
        if (kv === undefined) this.workers.delete(key);
        else this.workers.set(key, after() as WorkerRecord);
        break;
      case PREFIXES.pin:
        if (kv === undefined) this.pins.delete(key);
        else this.pins.set(key, after() as PinRecord);
        break;
      case PREFIXES.token: {
        const sha256 = key.slice(PREFIXES.token.length);
        if (kv === undefined) this.tokens.delete(sha256);
        else this.tokens.set(sha256, after() as TokenRecord);
        break;
      }
    }
    if (kv === undefined) this.rows.delete(key);
    else if (NUMEROUS.has(kind)) this.rows.set(kv.key, kv);
    else this.rows.set(key, { key, value: after(), modRev: kv.modRev });
  }

  #index(before: TenantRecord | undefined, after: TenantRecord | undefined): void {
    const id = (after ?? before)?.id;
    if (id === undefined) return;
    if (after?.transfer === undefined) this.moving.delete(id);
    else this.moving.add(id);
    if (after?.deletion === undefined) this.deleted.delete(id);
    else this.deleted.add(id);
    const moves = after?.state === "archived" && after.archive?.step !== "frozen";
    if (moves) this.archiving.add(id);
    else this.archiving.delete(id);
    if (before !== undefined) this.byState.set(before.state, (this.byState.get(before.state) ?? 1) - 1);
    if (after !== undefined) this.byState.set(after.state, (this.byState.get(after.state) ?? 0) + 1);
    this.due.set(id, after === undefined || isClosed(after) ? undefined : after.dueMs);
    this.#own(before, after);
    this.#branch(before, after);
    for (const { incarnation } of before?.tails ?? []) this.#countTail(incarnation, -1);
    for (const { incarnation } of after?.tails ?? []) this.#countTail(incarnation, 1);
  }

  #countTail(incarnation: Incarnation, change: number): void {
    const count = (this.tails.get(incarnation) ?? 0) + change;
    if (count === 0) this.tails.delete(incarnation);
    else this.tails.set(incarnation, count);
  }

  #branch(before: TenantRecord | undefined, after: TenantRecord | undefined): void {
    const [from, to] = [before?.origin?.tenant, after?.origin?.tenant];
    if (from === to) return;
    if (from !== undefined && before !== undefined) {
      const left = this.branches.get(from);
      left?.delete(before.id);
      if (left?.size === 0) this.branches.delete(from);
    }
    if (to === undefined || after === undefined) return;
    this.branches.set(to, (this.branches.get(to) ?? new Set()).add(after.id));
  }

  #own(before: TenantRecord | undefined, after: TenantRecord | undefined): void {
    const from = before?.owner?.incarnation;
    const to = after?.owner?.incarnation;
    if (from === to) return;
    if (from !== undefined && before !== undefined) {
      const left = this.owned.get(from);
      left?.delete(before.id);
      if (left?.size === 0) this.owned.delete(from);
    }
    if (to === undefined || after === undefined) return;
    const set = this.owned.get(to) ?? new Set();
    this.owned.set(to, set.add(after.id));
  }
}
