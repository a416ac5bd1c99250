import type { Logger } from "pino";
import type { Revision } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../clock.ts";
import { Compacted, type Kv, type ReplicatedStore } from "../store/contract.ts";
import type { Table } from "./table.ts";

const PAGE_ROWS = 10_000;

export interface FollowParts {
  store: ReplicatedStore;
  table: Table;
  clock: Clock;
  log: Logger;
}

/** Loads the table. @throws what the store throws */
export async function loadTable(store: ReplicatedStore, table: Table): Promise<void> {
  const rows: Kv[] = [];
  let first: Revision | undefined;
  let from: string | undefined;
  do {
    const page = await store.range("", {
      limit: PAGE_ROWS,
      stale: true,
      ...(from === undefined ? {} : { from }),
    });
    // Later pages may be newer; watching from the first page's revision repeats what changed between.
    first ??= page.rev;
    rows.push(...page.kvs);
    from = page.next;
  } while (from !== undefined);
  table.load(rows, first);
}

/** Keeps a loaded table up to date until the signal aborts; loads it anew when the store's history is too short. */
export async function followStore(parts: FollowParts, signal: AbortSignal): Promise<void> {
  const { store, table, clock, log } = parts;
  while (!signal.aborted) {
    try {
      for await (const event of store.watch("", table.revision, signal)) {
        if (Array.isArray(event)) table.apply(event);
        else table.progress(event.progress);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Compacted) {
        await loadTable(store, table).catch((cause: unknown) => log.warn({ cause }, "cannot load the state"));
        continue;
      }
      log.warn({ error }, "watching the state broke off");
    }
    await clock.sleep(limits.watchRetryMs, signal).catch(() => undefined);
  }
}
