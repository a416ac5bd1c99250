import type { Logger } from "pino";
import { SystemError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { metadataKey } from "../../shared/objects/layout.ts";
import type { Clock } from "../clock.ts";
import { isoTime } from "../domain/audit.ts";
import { BLOCKS, CLUSTER, PREFIXES, metadataRowKey, tenantKey } from "../domain/keys.ts";
import type { MetadataRow } from "../domain/records.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";
import { type Command, draft, put, remove } from "../domain/view.ts";
import { digestOf, encodeMetadata, keptOf } from "./metadata.ts";

export interface MetadataWriterParts {
  table: Table;
  runner: Runner;
  objects: ObjectStore;
  clock: Clock;
  log: Logger;
}

/**
 * Keeps under every tenant's prefix what is needed to bring it back without control. What the store holds is noted in the state
 * (`metadata/<tenant>`), so a new leader compares and writes only what is missing; a death between the PUT and the note costs one
 * PUT more. On no request's path.
 */
export class MetadataWriter {
  readonly #parts: MetadataWriterParts;

  constructor(parts: MetadataWriterParts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { table, clock, log } = this.#parts;
    let dirty = new Set<TenantId>();
    let everything = true;
    const leave = table.listen((event) => {
      if ("reset" in event) everything = true;
      else for (const { key } of event.applied) if (isTenant(key)) dirty.add(idOf(key));
    });
    try {
      while (!signal.aborted) {
        if (everything) {
          everything = false;
          for (const id of await this.#all(signal)) dirty.add(id);
        }
        const ids = dirty;
        dirty = new Set();
        let pauseMs: number = limits.metadataPauseMs;
        await this.write(ids, signal).catch((error: unknown) => {
          if (signal.aborted) return;
          log.warn({ error }, "cannot write tenants' metadata yet");
          for (const id of ids) dirty.add(id);
          pauseMs = limits.metadataRetryMs;
        });
        await clock.sleep(pauseMs, signal).catch(() => undefined);
      }
    } finally {
      leave();
    }
  }

  /** Writes what these tenants lack; those that are written already cost nothing. */
  async write(ids: Iterable<TenantId>, signal: AbortSignal): Promise<void> {
    const { runner } = this.#parts;
    const next = ids[Symbol.iterator]();
    let done: [TenantId, MetadataRow, string[]][] = [];
    const note = async (): Promise<void> => {
      const batch = done;
      done = [];
      if (batch.length === 0) return;
      await runner.run(noteRows(batch), signal);
      const old = batch.flatMap(([, , keys]) => keys);
      if (old.length > 0) await this.#parts.objects.delete(old, { signal });
    };
    const lane = async (): Promise<void> => {
      for (let one = next.next(); !one.done; one = next.next()) {
        signal.throwIfAborted();
        const written = await this.#writeOne(one.value, signal);
        if (written !== undefined) done.push([one.value, ...written]);
        if (done.length >= limits.tenantsPerTxn) await note();
      }
    };
    const lanes = await Promise.allSettled(Array.from({ length: limits.metadataParallel }, lane));
    await note();
    const failed = lanes.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  /** @returns what to note, and the keys of records that are not kept any more */
  async #writeOne(id: TenantId, signal: AbortSignal): Promise<[MetadataRow, string[]] | undefined> {
    const { table, objects, clock } = this.#parts;
    const tenant = table.get(tenantKey(id));
    const row = table.get(metadataRowKey(id));
    if (tenant === undefined) {
      if (row === undefined || row.gone !== undefined) return undefined;
    } else if (row?.gone === undefined && row?.digest === digestOf(keptOf(tenant))) return undefined;
    const block = table.get(BLOCKS)?.block;
    const cluster = table.get(CLUSTER)?.id;
    if (block === undefined || cluster === undefined) return undefined;
    const revision = tenant === undefined ? table.revision : table.modRev(tenantKey(id));
    const key = metadataKey(id, block, revision);
    const kept = tenant === undefined ? undefined : keptOf(tenant);
    const body = encodeMetadata({
      cluster,
      tenant: id,
      ...(kept === undefined ? {} : { kept }),
      epoch: tenant?.epoch ?? 0,
      base: tenant?.base ?? {},
    });
    // One block is one leader's: what exists there is this record, by an earlier try.
    const outcome = await objects.putIfAbsent(key, body, { signal });
    if (outcome === "unknown") {
      throw new SystemError("store_unavailable", `Cannot write ${key}: the store gave no clear answer`);
    }
    const keys = [...(row?.keys ?? []).filter((name) => name !== key), key];
    const stale = keys.splice(
      0,
      tenant === undefined ? keys.length - 1 : Math.max(0, keys.length - limits.metadataKept),
    );
    if (kept !== undefined) return [{ digest: digestOf(kept), keys }, stale];
    return [{ digest: "", keys, gone: isoTime(clock.nowMs()) }, stale];
  }

  /** Every tenant, and every note of one that is gone; removes tombstones whose time is over. */
  async #all(signal: AbortSignal): Promise<Set<TenantId>> {
    const { table, clock } = this.#parts;
    const ids = new Set<TenantId>();
    let seen = 0;
    for (const { key } of table.rows()) {
      if (++seen % limits.metadataSlice === 0) await clock.sleep(0, signal);
      if (isTenant(key)) {
        const tenant = table.get(tenantKey(idOf(key)));
        const row = table.get(metadataRowKey(idOf(key)));
        if (tenant !== undefined && row?.digest !== digestOf(keptOf(tenant))) ids.add(tenant.id);
      } else if (key.startsWith(PREFIXES.metadata)) {
        const id = key.slice(PREFIXES.metadata.length) as TenantId;
        const row = table.get(metadataRowKey(id));
        if (row !== undefined && table.get(tenantKey(id)) === undefined)
          await this.#forget(id, row, ids, signal);
      }
    }
    return ids;
  }

  async #forget(id: TenantId, row: MetadataRow, ids: Set<TenantId>, signal: AbortSignal): Promise<void> {
    const { runner, objects, clock } = this.#parts;
    if (row.gone === undefined) ids.add(id);
    else if (Date.parse(row.gone) + limits.tombstoneKeepMs <= clock.nowMs()) {
      await objects.delete(row.keys, { signal });
      const key = metadataRowKey(id);
      await runner.run((view) => ({ draft: draft(view, [key], [remove(key)]), value: undefined }), signal);
    }
  }
}

function noteRows(batch: readonly [TenantId, MetadataRow, string[]][]): Command<void> {
  return (view) => {
    const keys = batch.map(([id]) => metadataRowKey(id));
    const puts = batch.map(([id, row]) => put(metadataRowKey(id), row));
    return { draft: draft(view, keys, puts), value: undefined };
  };
}

const isTenant = (key: string): boolean => key.startsWith(PREFIXES.tenant);
const idOf = (key: string): TenantId => key.slice(PREFIXES.tenant.length) as TenantId;
