import type { TenantId } from "../../shared/ids.ts";

const MINUTE_MS = 60_000;

/** Which tenants are due when, by minute: few times, many tenants. Those without a due time cost nothing. */
export class DueIndex {
  readonly #minuteOf = new Map<TenantId, number>();
  readonly #tenants = new Map<number, Set<TenantId>>();

  clear(): void {
    this.#minuteOf.clear();
    this.#tenants.clear();
  }

  set(id: TenantId, dueMs: number | undefined): void {
    const before = this.#minuteOf.get(id);
    const minute = dueMs === undefined ? undefined : Math.floor(dueMs / MINUTE_MS);
    if (before === minute) return;
    if (before !== undefined) {
      const left = this.#tenants.get(before);
      left?.delete(id);
      if (left?.size === 0) this.#tenants.delete(before);
      this.#minuteOf.delete(id);
    }
    if (minute === undefined) return;
    this.#minuteOf.set(id, minute);
    this.#tenants.set(minute, (this.#tenants.get(minute) ?? new Set()).add(id));
  }

  /** Those of the minute of `untilMs` and before, earliest first. Live: a walk over turns of the event loop sees changes. */
  *until(untilMs: number): Generator<TenantId> {
    const last = Math.floor(untilMs / MINUTE_MS);
    const minutes = [...this.#tenants.keys()].filter((minute) => minute <= last);
    for (const minute of minutes.toSorted((a, b) => a - b)) yield* this.#tenants.get(minute) ?? [];
  }
}
