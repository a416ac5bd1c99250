import type { Revision } from "../../shared/ids.ts";
import type { Table } from "./table.ts";

/**
 * Waits for a table without asking it again and again: for a revision, or for the next change of named keys. One listener
 * serves all who wait, so that ten thousand waiting requests cost nothing per change that is not theirs.
 */
export class TableWaiters {
  readonly #table: Table;
  readonly #byKey = new Map<string, Set<() => void>>();
  readonly #byRevision = new Map<number, Set<() => void>>();
  #reachedRev: number;

  constructor(table: Table) {
    this.#table = table;
    this.#reachedRev = table.revision;
    table.listen((event) => {
      if ("reset" in event) this.#wakeAll();
      else for (const { key } of event.applied) this.#wake(key);
      this.#reach(table.revision);
    });
  }

  /** Resolves when the table holds everything up to `rev`. @throws the signal's reason */
  reached(rev: Revision, signal: AbortSignal): Promise<void> {
    if (rev <= this.#table.revision) return Promise.resolve();
    return this.#wait(signal, (done) => {
      this.#byRevision.set(rev, (this.#byRevision.get(rev) ?? new Set()).add(done));
      return () => {
        const set = this.#byRevision.get(rev);
        set?.delete(done);
        if (set?.size === 0) this.#byRevision.delete(rev);
      };
    });
  }

  /** Resolves at the next change of any of the keys; a key that ends in `/` stands for all below it. @throws the signal's reason */
  changed(keys: readonly string[], signal: AbortSignal): Promise<void> {
    return this.#wait(signal, (done) => {
      for (const key of keys) this.#byKey.set(key, (this.#byKey.get(key) ?? new Set()).add(done));
      return () => {
        for (const key of keys) {
          const set = this.#byKey.get(key);
          set?.delete(done);
          if (set?.size === 0) this.#byKey.delete(key);
        }
      };
    });
  }

  #wait(signal: AbortSignal, enter: (done: () => void) => () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const stop = (): void => {
        leave();
        reject(signal.reason as Error);
      };
      const leave = enter(() => {
        leave();
        signal.removeEventListener("abort", stop);
        resolve();
      });
      signal.addEventListener("abort", stop, { once: true });
    });
  }

  #wake(key: string): void {
    const kind = key.slice(0, key.indexOf("/") + 1);
    for (const name of [key, kind]) for (const done of this.#byKey.get(name) ?? []) done();
  }

  /** By the revisions that were passed, or by all that wait, whichever are fewer: each of thousands of waiters waits for its own. */
  #reach(revision: number): void {
    const passed = revision - this.#reachedRev;
    const first = this.#reachedRev + 1;
    this.#reachedRev = revision;
    const due =
      passed < this.#byRevision.size
        ? Array.from({ length: Math.max(0, passed) }, (_, i) => first + i)
        : [...this.#byRevision.keys()].filter((rev) => rev <= revision);
    for (const rev of due) for (const done of this.#byRevision.get(rev) ?? []) done();
  }

  #wakeAll(): void {
    for (const set of this.#byKey.values()) for (const done of set) done();
  }
}
