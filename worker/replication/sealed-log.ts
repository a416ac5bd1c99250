import { LRUCache } from "lru-cache";
import { SystemError } from "../../shared/errors.ts";
import type { Incarnation, LogSeq, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { decodeLogEntry, decodeLogFooter, logFooterBytes } from "../../shared/log/decode.ts";
import type { DataEntry, LogFooter, LogIndexItem, RefEntry } from "../../shared/log/log.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { logKey } from "../../shared/objects/layout.ts";
import type { Tail } from "../../shared/protocol/internal.ts";
import { parallel } from "./parallel.ts";

/** Where one entry of a tenant stands. */
export interface TailItem {
  incarnation: Incarnation;
  seq: LogSeq;
  item: LogIndexItem;
}

type Index = ReadonlyMap<TenantId, readonly TailItem[]>;

/**
 * Reads sealed logs for tenants that load from them. A log's footers are read once and shared by all its tenants: after a
 * worker's death hundreds of them load from the same log.
 */
export class SealedLogs {
  readonly #store: ObjectStore;
  readonly #indexes = new LRUCache<Incarnation, { endSeq: LogSeq; index: Promise<Index> }>({
    max: limits.sealedLogIndexesMax,
  });

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /** The tenant's entries of this log below its end, in log order. @throws SystemError `log_corrupt`, `object_corrupt` */
  async items(tail: Tail, tenant: TenantId, signal: AbortSignal): Promise<readonly TailItem[]> {
    let known = this.#indexes.get(tail.incarnation);
    if (known !== undefined && known.endSeq !== tail.endSeq) {
      throw new SystemError("log_corrupt", `Cannot read log ${tail.incarnation}: two ends are claimed`, {
        details: { ends: [known.endSeq, tail.endSeq] },
      });
    }
    if (known === undefined) {
      // Shared by others who load, so it must not end with this caller's signal.
      known = { endSeq: tail.endSeq, index: this.#read(tail) };
      this.#indexes.set(tail.incarnation, known);
      known.index.catch(() => this.#indexes.delete(tail.incarnation));
    }
    const index = await known.index;
    signal.throwIfAborted();
    return index.get(tenant) ?? [];
  }

  /** One entry, its own checksum proven. */
  async entry({ incarnation, seq, item }: TailItem, signal: AbortSignal): Promise<DataEntry | RefEntry> {
    const { offset, length } = item;
    const found = await this.#store.range(logKey(incarnation, seq), { offset, length }, { signal });
    if (found === undefined) throw missing(incarnation, seq);
    const entry = decodeLogEntry(found.bytes);
    if (
      (entry?.kind !== "data" && entry?.kind !== "ref") ||
      entry.tenant !== item.tenant ||
      entry.database !== item.database ||
      entry.txid !== item.txid ||
      entry.entryHash !== item.entryHash
    ) {
      throw new SystemError(
        "object_corrupt",
        `Cannot read slot ${seq} of log ${incarnation}: footer and entry differ`,
      );
    }
    return entry;
  }

  async #read({ incarnation, endSeq }: Tail): Promise<Index> {
    const index = new Map<TenantId, TailItem[]>();
    const last = endSeq - 1;
    if (last < 1) return index;
    const newest = await this.#footer(incarnation, last as LogSeq);
    // Below the low watermark nothing is needed any more, and slots may be gone.
    const first = Math.max(1, newest.header.lowWatermark);
    const seqs = Array.from({ length: last - first }, (_, i) => (first + i) as LogSeq);
    const footers = await parallel(seqs, limits.restoreParallelGets, (seq) => this.#footer(incarnation, seq));
    for (const { header, index: items } of [...footers, newest]) {
      for (const item of items) {
        if ((item.kind !== "data" && item.kind !== "ref") || item.tenant === undefined) continue;
        const list = index.get(item.tenant) ?? [];
        index.set(item.tenant, list);
        list.push({ incarnation, seq: header.seq, item });
      }
    }
    return index;
  }

  async #footer(incarnation: Incarnation, seq: LogSeq): Promise<LogFooter> {
    const key = logKey(incarnation, seq);
    let tail = await this.#store.range(key, { suffix: limits.logFooterReadBytes });
    if (tail === undefined) throw missing(incarnation, seq);
    const needed = logFooterBytes(tail.bytes);
    if (needed > tail.bytes.length) {
      tail = await this.#store.range(key, { suffix: needed });
      if (tail === undefined) throw missing(incarnation, seq);
    }
    const footer = decodeLogFooter(tail.bytes, tail.size);
    if (
      footer.header.incarnation !== incarnation ||
      footer.header.seq !== seq ||
      footer.header.kind === "seal"
    ) {
      throw new SystemError(
        "log_corrupt",
        `Cannot read log ${incarnation}: slot ${seq} holds something else`,
        {
          details: { ...footer.header },
        },
      );
    }
    return footer;
  }
}

function missing(incarnation: Incarnation, seq: LogSeq): SystemError {
  return new SystemError("log_corrupt", `Cannot read log ${incarnation}: slot ${seq} is missing`, {
    hint: "Put the object back from the bucket's versions or a backup; the tenant is not served without it.",
  });
}
