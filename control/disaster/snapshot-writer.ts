import type { Logger } from "pino";
import { limits } from "../../shared/limits.ts";
import type { ListedObject, ObjectStore } from "../../shared/objects/contract.ts";
import { controlSnapshotKey, controlSnapshotsPrefix } from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";
import type { Clock } from "../clock.ts";
import { isoTime } from "../domain/audit.ts";
import { BLOCKS, CLUSTER, PREFIXES } from "../domain/keys.ts";
import type { Table } from "../domain/table.ts";
import type { Kv, ReplicatedStore } from "../store/contract.ts";
import { encodeSnapshot } from "./snapshot.ts";

export interface SnapshotWriterParts {
  store: ReplicatedStore;
  table: Table;
  objects: ObjectStore;
  clock: Clock;
  log: Logger;
}

const AUDIT_PAGE_ROWS = 5_000;

/** Copies control's state to the object store now and then, when it has changed; what is there says what is due. */
export class SnapshotWriter {
  readonly #parts: SnapshotWriterParts;

  constructor(parts: SnapshotWriterParts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    let writtenAt: number | undefined;
    while (!signal.aborted) {
      try {
        const newest = (await this.#listed(signal)).at(-1);
        const ageMs = newest === undefined ? Infinity : clock.nowMs() - newest.modifiedMs;
        const changed = writtenAt !== this.#parts.table.revision;
        if (changed && ageMs >= limits.controlSnapshotEveryMs / 2) writtenAt = await this.write(signal);
      } catch (error) {
        if (!signal.aborted) log.warn({ error }, "cannot copy the state to the object store");
      }
      await clock.sleep(limits.controlSnapshotEveryMs, signal).catch(() => undefined);
    }
  }

  /** One copy, and the oldest go. @returns the revision; undefined before the cluster has a name */
  async write(signal: AbortSignal): Promise<number | undefined> {
    const { store, table, objects, clock } = this.#parts;
    const [block, cluster] = [table.get(BLOCKS)?.block, table.get(CLUSTER)?.id];
    if (block === undefined || cluster === undefined) return undefined;
    // In one turn, so all of it is of one revision; audit entries are on their own and only ever added.
    const { revision } = table;
    const rows = table.rows();
    for (let from: string | undefined; ;) {
      const page = await store.range(PREFIXES.audit, {
        limit: AUDIT_PAGE_ROWS,
        stale: true,
        ...(from === undefined ? {} : { from }),
      });
      rows.push(...page.kvs);
      from = page.next;
      if (from === undefined) break;
    }
    const at = isoTime(clock.nowMs());
    const body = await encodeSnapshot({ cluster, block, revision, at, rows: pairs(rows) });
    await objects.putIfAbsent(controlSnapshotKey(block, revision), body, { signal });
    const old = (await this.#listed(signal)).slice(0, -limits.controlSnapshotsKept);
    if (old.length > 0)
      await objects.delete(
        old.map(({ key }) => key),
        { signal },
      );
    return revision;
  }

  async #listed(signal: AbortSignal): Promise<ListedObject[]> {
    return await Array.fromAsync(listAll(this.#parts.objects, { prefix: controlSnapshotsPrefix, signal }));
  }
}

/** Parsed when they are written, a slice at a time. */
function* pairs(rows: Iterable<Kv>): Generator<[key: string, value: unknown]> {
  for (const { key, value } of rows) yield [key, value];
}
