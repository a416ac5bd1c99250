import type { Incarnation, Revision, Slug } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { RouteChange } from "../../shared/protocol/internal.ts";
import { PREFIXES, tenantKey } from "./keys.ts";
import type { TenantRecord, WorkerRecord } from "./records.ts";
import { routeOf } from "./route.ts";
import type { Applied, Table } from "./table.ts";
import { serves } from "./worker-states.ts";

export interface RouteUpdate {
  rev: Revision;
  /** Empty: only the revision went on. */
  changes: RouteChange[];
}

/** What gateways hear: the route changes of each revision, derived from the changes of tenants and workers, with a bounded past. */
export class RouteFeed {
  readonly #table: Table;
  #history: RouteUpdate[] = [];
  /** Everything after this revision is in the history. */
  #from: Revision;
  readonly #readers = new Set<{ push(update: RouteUpdate): void; end(): void }>();

  constructor(table: Table) {
    this.#table = table;
    this.#from = table.revision;
    table.listen((event) => {
      if ("reset" in event) this.#reset(event.reset);
      else this.#emit({ rev: event.rev, changes: this.#changes(event.applied) });
    });
  }

  get readers(): number {
    return this.#readers.size;
  }

  /**
   * Registers a reader from a revision on: first what it missed, then each update as it happens. `end` is called when it cannot
   * be served on (the state was loaded anew): it starts again with a snapshot.
   *
   * @returns how to stop, or undefined when the revision is older than the kept past
   */
  read(from: Revision, push: (update: RouteUpdate) => void, end: () => void): (() => void) | undefined {
    if (from < this.#from) return undefined;
    for (const update of this.#history) if (update.rev > from) push(update);
    const reader = { push, end };
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  #emit(update: RouteUpdate): void {
    if (update.changes.length > 0) {
      this.#history.push(update);
      // Trimmed in chunks: shifting one of ten thousand at every revision would cost more than the rest.
      if (this.#history.length > limits.routeHistoryMax * 1.1) {
        const dropped = this.#history.splice(0, this.#history.length - limits.routeHistoryMax);
        this.#from = dropped.at(-1)?.rev ?? this.#from;
      }
    }
    for (const reader of this.#readers) reader.push(update);
  }

  #reset(rev: Revision): void {
    this.#history = [];
    this.#from = rev;
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
  }

  #changes(applied: readonly Applied[]): RouteChange[] {
    const routes = new Map<Slug, RouteChange>();
    for (const { key, before, after } of applied) {
      if (key.startsWith(PREFIXES.tenant)) {
        const [old, now] = [before as TenantRecord | undefined, after as TenantRecord | undefined];
        if (old !== undefined && old.slug !== now?.slug) {
          routes.set(old.slug, { slug: old.slug, deleted: true });
        }
        if (now !== undefined && !sameRoute(old, now)) routes.set(now.slug, routeOf(this.#table, now));
      } else if (key.startsWith(PREFIXES.worker)) {
        const [old, now] = [before as WorkerRecord | undefined, after as WorkerRecord | undefined];
        if (old !== undefined && serves(old) !== serves(now)) this.#tenantsOf(old.incarnation, routes);
      }
    }
    return [...routes.values()];
  }

  #tenantsOf(incarnation: Incarnation, routes: Map<Slug, RouteChange>): void {
    for (const id of this.#table.tenantsOf(incarnation)) {
      const tenant = this.#table.get(tenantKey(id));
      if (tenant !== undefined) routes.set(tenant.slug, routeOf(this.#table, tenant));
    }
  }
}

/** Most changes of tenants are positions, which no gateway needs to hear. */
function sameRoute(old: TenantRecord | undefined, now: TenantRecord): boolean {
  return (
    old !== undefined &&
    old.slug === now.slug &&
    old.state === now.state &&
    old.suspended === now.suspended &&
    old.epoch === now.epoch &&
    old.owner?.incarnation === now.owner?.incarnation &&
    (old.archive === now.archive || old.archive?.step === now.archive?.step) &&
    // Records are never changed in place: what did not change is the same object, or one of the same text.
    (old.domains === now.domains || JSON.stringify(old.domains) === JSON.stringify(now.domains)) &&
    (old.limits === now.limits || JSON.stringify(old.limits) === JSON.stringify(now.limits))
  );
}
