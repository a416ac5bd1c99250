import { LRUCache } from "lru-cache";
import { SystemError } from "../../shared/errors.ts";
import type { Incarnation, LogSeq, TenantId, Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { decodeLogEntry } from "../../shared/log/decode.ts";
import type { DataEntry, DirectoryDatabase, LogEntry, LogIndexItem, RefEntry } from "../../shared/log/log.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { logKey } from "../../shared/objects/layout.ts";
import { decodeState } from "../../shared/log/state.ts";
import type { CarriedState, Tail } from "../../shared/protocol/internal.ts";
import type { EntryCiphers } from "../encryption/entry-ciphers.ts";
import { FooterReader, missingSlot } from "./footer-reader.ts";

/** Where one entry of a tenant stands. */
export interface TailItem {
  incarnation: Incarnation;
  seq: LogSeq;
  item: LogIndexItem;
}

/** What footers say of a log, by tenant. */
interface Index {
  changes: Map<TenantId, TailItem[]>;
  /** The newest STATE of each. */
  states: Map<TenantId, TailItem>;
}

/**
 * Reads sealed logs for tenants that load from them. A log's footers are read once and shared by all its tenants: after a
 * worker's death hundreds of them load from the same log.
 */
export class SealedLogs {
  readonly #store: ObjectStore;
  readonly #ciphers: Pick<EntryCiphers, "open" | "openState"> | undefined;
  readonly #indexes = new LRUCache<Incarnation, { endSeq: LogSeq; index: Promise<Index> }>({
    max: limits.sealedLogIndexesMax,
  });

  /** @param ciphers - without them nothing can be read of encrypted tenants */
  constructor(store: ObjectStore, ciphers?: Pick<EntryCiphers, "open" | "openState">) {
    this.#store = store;
    this.#ciphers = ciphers;
  }

  /** The tenant's entries of this log below its end, in log order. @throws SystemError `log_corrupt`, `object_corrupt` */
  async items(tail: Tail, tenant: TenantId, signal: AbortSignal): Promise<readonly TailItem[]> {
    return (await this.all(tail, signal)).get(tenant) ?? [];
  }

  /** As `items`, of every tenant. */
  async all(tail: Tail, signal: AbortSignal): Promise<ReadonlyMap<TenantId, readonly TailItem[]>> {
    return (await this.#index(tail, signal)).changes;
  }

  /**
   * The small values that this log's worker logged last of a tenant that it had when it ended; undefined when it logged none.
   * @throws SystemError as `entry`
   */
  async state(tail: Tail, tenant: TenantId, signal: AbortSignal): Promise<CarriedState | undefined> {
    const found = (await this.#index(tail, signal)).states.get(tenant);
    // Of another epoch: somebody has had the tenant in between.
    if (found === undefined || found.item.epoch !== tail.epoch) return undefined;
    const entry = await this.#read(found, signal);
    if (entry?.kind !== "state" || entry.tenant !== tenant || entry.epoch !== found.item.epoch) {
      throw differs(found);
    }
    return decodeState(this.#ciphers?.openState(entry) ?? entry.body);
  }

  async #index(tail: Tail, signal: AbortSignal): Promise<Index> {
    let known = this.#indexes.get(tail.incarnation);
    if (known !== undefined && known.endSeq !== tail.endSeq) {
      throw new SystemError("log_corrupt", `Cannot read log ${tail.incarnation}: two ends are claimed`, {
        details: { ends: [known.endSeq, tail.endSeq] },
      });
    }
    if (known === undefined) {
      // Shared by others who load, so it must not end with this caller's signal.
      known = { endSeq: tail.endSeq, index: this.#readIndex(tail) };
      this.#indexes.set(tail.incarnation, known);
      known.index.catch(() => this.#indexes.delete(tail.incarnation));
    }
    const index = await known.index;
    signal.throwIfAborted();
    return index;
  }

  /** One entry, its own checksum proven, and opened when its tenant is encrypted. @throws SystemError `object_corrupt` */
  async entry(place: TailItem, signal: AbortSignal): Promise<DataEntry | RefEntry> {
    const { item } = place;
    const entry = await this.#read(place, signal);
    if (
      (entry?.kind !== "data" && entry?.kind !== "ref") ||
      entry.tenant !== item.tenant ||
      entry.database !== item.database ||
      entry.epoch !== item.epoch ||
      entry.txid !== item.txid ||
      // A DIRECTORY says nothing of hashes; then the entry itself must continue the chain.
      (item.entryHash !== undefined && entry.entryHash !== item.entryHash)
    ) {
      throw differs(place);
    }
    return this.open(entry);
  }

  async #read({ incarnation, seq, item }: TailItem, signal: AbortSignal): Promise<LogEntry | undefined> {
    const { offset, length } = item;
    const found = await this.#store.range(logKey(incarnation, seq), { offset, length }, { signal });
    if (found === undefined) throw missingSlot(incarnation, seq);
    return decodeLogEntry(found.bytes);
  }

  /** An entry as its tenant knows it. @throws SystemError `object_corrupt` */
  open<Entry extends DataEntry | RefEntry>(entry: Entry): Entry {
    return this.#ciphers?.open(entry) ?? entry;
  }

  /** Reads the last DIRECTORY, the FOOTERS since it and the footers since those; all footers where a log has neither. */
  async #readIndex({ incarnation, endSeq }: Tail): Promise<Index> {
    const index: Index = { changes: new Map(), states: new Map() };
    const last = endSeq - 1;
    if (last < 1) return index;
    const footers = new FooterReader(this.#store, incarnation);
    const newest = await footers.read(last as LogSeq);
    // Below the low watermark nothing is needed any more, and slots may be gone.
    const first = Math.max(1, newest.header.lowWatermark);
    const directory = await lastDirectory(footers, first, last);
    for (const database of directory?.databases ?? []) {
      for (const [i, { seq, ...span }] of database.entries.entries()) {
        const { tenant, epoch, database: name, firstTxid } = database;
        const txid = (firstTxid + i) as Txid;
        addItem(index, { incarnation, seq, item: { ...span, tenant, epoch, database: name, txid } });
      }
    }
    const found = await footers.range(directory?.seq ?? first, last);
    for (const { header, index: items } of found) {
      for (const item of items) addItem(index, { incarnation, seq: header.seq, item });
    }
    return index;
  }
}

/** The newest DIRECTORY from `first` to `last`. */
async function lastDirectory(
  footers: FooterReader,
  first: number,
  last: number,
): Promise<{ seq: number; databases: readonly DirectoryDatabase[] } | undefined> {
  const every = limits.logDirectoryEvery;
  for (let seq = Math.floor(last / every) * every; seq > first; seq -= every) {
    const entry = await footers.entry(seq as LogSeq, "directory");
    if (entry?.kind === "directory") return { seq, databases: entry.databases };
  }
  return undefined;
}

function addItem({ changes, states }: Index, item: TailItem): void {
  const { kind, tenant } = item.item;
  if (tenant === undefined) return;
  if (kind === "state") states.set(tenant, item);
  if (kind !== "data" && kind !== "ref") return;
  const list = changes.get(tenant);
  if (list === undefined) changes.set(tenant, [item]);
  else list.push(item);
}

const differs = ({ incarnation, seq }: TailItem): SystemError =>
  new SystemError("object_corrupt", `Cannot read slot ${seq} of log ${incarnation}: footer and entry differ`);
