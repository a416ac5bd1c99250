import type { Revision } from "../../shared/ids.ts";
import type { Table } from "./table.ts";

/**
 * Waits for a table without asking it again and again: for a revision, or for the next change of named keys. One listener
 * serves all who wait, so that ten thousand waiting requests cost nothing per change that is not theirs.
 */
export class TableWaiters {
  readonly #table: Table;
  readonly #byKey = new Map<string, Set<() => void>>();
  readonly #byRevision = new Set<{ rev: Revision; done: () => void }>();

  constructor(table: Table) {
    this.#table = table;
    table.listen((event) => {
      if ("reset" in event) this.#wakeAll();
      else for (const { key } of event.applied) this.#wake(key);
      for (const waiter of this.#byRevision) if (waiter.rev <= table.revision) waiter.done();
    });
  }

  /** Resolves when the table holds everything up to `rev`. @throws the signal's reason */
  reached(rev: Revision, signal: AbortSignal): Promise<void> {
    if (rev <= this.#table.revision) return Promise.resolve();
    return this.#wait(signal, (done) => {
      const waiter = { rev, done };
      this.#byRevision.add(waiter);
      return () => this.#byRevision.delete(waiter);
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

  #wakeAll(): void {
    for (const set of this.#byKey.values()) for (const done of set) done();
  }
}
