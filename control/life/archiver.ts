import type { Logger } from "pino";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore, StorageClass } from "../../shared/objects/contract.ts";
import {
  backupsPrefix,
  dataKeysPrefix,
  metadataPrefix,
  pinsPrefix,
  tenantPrefix,
} from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";
import type { Clock } from "../clock.ts";
import { finishFreeze, finishThaw } from "../domain/archive-tenant.ts";
import { PREFIXES, tenantKey } from "../domain/keys.ts";
import type { Archive } from "../domain/records.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";
import type { TableWaiters } from "../domain/wait.ts";

export interface ArchiverParts {
  table: Table;
  waiters: TableWaiters;
  runner: Runner;
  objects: ObjectStore;
  clock: Clock;
  log: Logger;
}

/**
 * Moves the objects of archived tenants to their cold class and back. What is done is read from the objects themselves, so that it
 * goes on anywhere after a death; the state says which tenants. A few tenants at a time, a few objects of each.
 */
export class Archiver {
  readonly #parts: ArchiverParts;
  readonly #running = new Set<TenantId>();
  /** Asked the store for readable copies once; the next passes only look whether they are there. */
  readonly #asked = new Set<TenantId>();
  readonly #notBeforeMs = new Map<TenantId, number>();

  constructor(parts: ArchiverParts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { table, waiters, clock } = this.#parts;
    // Whoever led before may have asked, or not: asking again does no harm.
    this.#asked.clear();
    this.#notBeforeMs.clear();
    while (!signal.aborted) {
      for (const id of table.archiving()) {
        if (this.#running.size >= limits.archivesParallel) break;
        const waits = clock.monotonicMs() < (this.#notBeforeMs.get(id) ?? 0);
        if (this.#running.has(id) || waits || !this.#hasWork(id)) continue;
        this.#running.add(id);
        void this.#bring(id, signal).finally(() => this.#running.delete(id));
      }
      const idle = table.archiving().size === 0;
      const until = idle ? signal : AbortSignal.any([signal, AbortSignal.timeout(limits.archiveLookMs)]);
      await waiters.changed([PREFIXES.tenant], until).catch(() => undefined);
    }
  }

  async #bring(id: TenantId, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    let over = false;
    try {
      over = await this.#pass(id, signal);
    } catch (error) {
      if (signal.aborted) return;
      log.warn({ tenant: id, error }, "cannot move a tenant's objects between storage classes yet");
    }
    if (over) this.#notBeforeMs.delete(id);
    else this.#notBeforeMs.set(id, clock.monotonicMs() + limits.archiveRetryMs);
  }

  /** @returns whether it is over */
  async #pass(id: TenantId, signal: AbortSignal): Promise<boolean> {
    const { runner, log } = this.#parts;
    const step = this.#step(id);
    const archive = this.#parts.table.get(tenantKey(id))?.archive;
    if (archive === undefined) return true;
    const target = step === "thawing" ? "STANDARD" : archive.storageClass;
    const left = await this.#each(
      id,
      step,
      (key) => this.#toClass(key, target, this.#asked.has(id), signal),
      signal,
    );
    if (this.#step(id) !== step) return false;
    if (step === "thawing") this.#asked.add(id);
    if (left > 0) return false;
    const meta = runner.meta("control");
    const finish = step === "thawing" ? finishThaw : finishFreeze;
    await runner.run((view) => finish(view, meta, id), signal);
    this.#asked.delete(id);
    log.info({ tenant: id, step }, "all objects of an archived tenant are where they should be");
    return true;
  }

  /** @returns how many objects are not there yet; ends early once one is not and all were asked for */
  async #each(
    id: TenantId,
    step: Archive["step"] | undefined,
    work: (key: string) => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<number> {
    let left = 0;
    const keys = this.#objects(id, signal);
    const lane = async (): Promise<void> => {
      for (;;) {
        const next = await keys.next();
        if (next.done === true || signal.aborted || this.#step(id) !== step) return;
        if (!(await work(next.value))) left++;
        if (left > 0 && this.#asked.has(id)) return;
      }
    };
    await Promise.all(Array.from({ length: limits.archiveObjectsParallel }, lane));
    signal.throwIfAborted();
    return left;
  }

  /** What loads and workers read; what control itself reads of a tenant stays where it is. */
  async *#objects(id: TenantId, signal: AbortSignal): AsyncGenerator<string> {
    const { objects } = this.#parts;
    const kept = [metadataPrefix(id), dataKeysPrefix(id), pinsPrefix(id)];
    for (const prefix of [tenantPrefix(id), backupsPrefix(id)]) {
      for await (const { key } of listAll(objects, { prefix, signal })) {
        if (!kept.some((one) => key.startsWith(one))) yield key;
      }
    }
  }

  /** @returns whether the object is there: in that class, and readable */
  async #toClass(key: string, target: StorageClass, asked: boolean, signal: AbortSignal): Promise<boolean> {
    const { objects } = this.#parts;
    const head = await objects.head(key, { signal });
    if (head === undefined || head.storageClass === target) return true;
    if (head.thaw === "running") return false;
    if (head.thaw === "needed" && !asked) {
      await objects.thaw(key, limits.thawDays, { signal });
      return false;
    }
    try {
      await objects.copy(key, key, { storageClass: target, signal });
      return true;
    } catch (error) {
      // Some stores know cold classes by name only and say "needed" for ever, though the object can be read: so it was worth a try.
      if (head.thaw === "needed") return false;
      throw error;
    }
  }

  #step(id: TenantId): Archive["step"] | undefined {
    const tenant = this.#parts.table.get(tenantKey(id));
    return tenant?.state === "archived" ? tenant.archive?.step : undefined;
  }

  /** Its owner may still write under its prefix: only then may its objects move. */
  #hasWork(id: TenantId): boolean {
    const step = this.#step(id);
    const owner = this.#parts.table.get(tenantKey(id))?.owner;
    return owner === undefined && (step === "freezing" || step === "thawing");
  }
}
