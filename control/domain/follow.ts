import type { Logger } from "pino";
import type { Revision } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../clock.ts";
import { Compacted, type ReplicatedStore } from "../store/contract.ts";
import { PREFIXES } from "./keys.ts";
import { TableContents } from "./table-contents.ts";
import type { Table } from "./table.ts";

const PAGE_ROWS = 5_000;

export interface LoadParts {
  store: ReplicatedStore;
  table: Table;
  clock: Clock;
}

export interface FollowParts extends LoadParts {
  log: Logger;
}

/**
 * Loads the table, a page to a turn of the event loop: a large state takes seconds, in which this replica must go on beating and
 * answering. The table stays as it was until all is there. @throws what the store throws
 */
export async function loadTable({ store, table, clock }: LoadParts, signal: AbortSignal): Promise<void> {
  const contents = new TableContents();
  let first: Revision | undefined;
  let from: string | undefined;
  for (;;) {
    const page = await store.range("", {
      limit: PAGE_ROWS,
      stale: true,
      ...(from === undefined ? {} : { from }),
    });
    // Later pages may be newer; watching from the first page's revision repeats what changed between.
    first ??= page.rev;
    for (const kv of page.kvs) contents.add(kv);
    from = page.next;
    if (from === undefined) break;
    // Audit entries are counted only: all of them at one revision, or changes between would be counted twice.
    if (!from.startsWith(PREFIXES.audit)) await clock.sleep(0, signal);
  }
  table.replace(contents, first);
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
        if (await loaded(parts, signal)) continue;
      } else log.warn({ error }, "watching the state broke off");
    }
    await clock.sleep(limits.watchRetryMs, signal).catch(() => undefined);
  }
}

async function loaded(parts: FollowParts, signal: AbortSignal): Promise<boolean> {
  try {
    await loadTable(parts, signal);
    return true;
  } catch (error) {
    if (!signal.aborted) parts.log.warn({ error }, "cannot load the state");
    return false;
  }
}
