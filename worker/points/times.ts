import { SystemError } from "../../shared/errors.ts";
import type { Txid } from "../../shared/ids.ts";
import { type BundleItem, bundleIndexBytes, decodeBundleIndex } from "../../shared/log/bundle.ts";
import { decodeLtxHeader } from "../../shared/ltx/decode.ts";
import { LTX_HEADER_BYTES } from "../../shared/ltx/ltx.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { BundleFile } from "../replication/tenant-objects.ts";
import type { DatabaseHistory, TxidRange } from "./history.ts";

/** Of a bundle's end: holds the index of some hundred flushes. */
const INDEX_GUESS_BYTES = 4_096;

/**
 * When TXIDs of one database were made, as its objects say: headers of files and indexes of bundles, each read at most once. Times
 * rise with TXIDs.
 */
export class TxidTimes {
  readonly #store: ObjectStore;
  readonly #history: DatabaseHistory;
  readonly #signal: AbortSignal;
  readonly #headers = new Map<string, Promise<number>>();
  readonly #indexes = new Map<string, Promise<BundleItem[]>>();

  constructor(store: ObjectStore, history: DatabaseHistory, signal: AbortSignal) {
    this.#store = store;
    this.#history = history;
    this.#signal = signal;
  }

  /** @param txid - the last of a file, or one of a bundle */
  async of(txid: Txid): Promise<number> {
    const file = this.#history.files.find(({ maxTxid }) => maxTxid === txid);
    if (file !== undefined) return this.#header(file.key);
    const bundle = this.#history.bundles.find(({ minTxid, maxTxid }) => minTxid <= txid && maxTxid >= txid);
    const item = bundle === undefined ? undefined : (await this.#index(bundle))[txid - bundle.minTxid];
    if (item !== undefined) return item.timestampMs;
    throw new SystemError("internal", `Cannot tell when TXID ${txid} was made: nothing ends there`);
  }

  /** The newest TXID of the ranges that was made at `timeMs` or before; undefined when all are younger. */
  async newestAt(ranges: readonly TxidRange[], timeMs: number): Promise<Txid | undefined> {
    const index = await lastIndex(ranges.length, async (i) => (await this.of(at(ranges, i).first)) <= timeMs);
    if (index < 0) return undefined;
    const { first, last } = at(ranges, index);
    const offset = await lastIndex(
      last - first + 1,
      async (i) => (await this.of((first + i) as Txid)) <= timeMs,
    );
    return (first + offset) as Txid;
  }

  #header(key: string): Promise<number> {
    let found = this.#headers.get(key);
    if (found === undefined) this.#headers.set(key, (found = this.#readHeader(key)));
    return found;
  }

  async #readHeader(key: string): Promise<number> {
    const options = { signal: this.#signal };
    const found = await this.#store.range(key, { offset: 0, length: LTX_HEADER_BYTES }, options);
    if (found === undefined) throw gone(key);
    return decodeLtxHeader(found.bytes).timestampMs;
  }

  #index(bundle: BundleFile): Promise<BundleItem[]> {
    let found = this.#indexes.get(bundle.key);
    if (found === undefined) this.#indexes.set(bundle.key, (found = this.#readIndex(bundle)));
    return found;
  }

  async #readIndex(bundle: BundleFile): Promise<BundleItem[]> {
    let tail = await this.#tail(bundle, INDEX_GUESS_BYTES);
    const needed = bundleIndexBytes(tail);
    if (needed > tail.length) tail = await this.#tail(bundle, needed);
    return decodeBundleIndex(tail, bundle, bundle.size);
  }

  async #tail({ key, size }: BundleFile, length: number): Promise<Uint8Array> {
    const suffix = Math.min(size, length);
    const found = await this.#store.range(key, { suffix }, { signal: this.#signal });
    if (found === undefined) throw gone(key);
    return found.bytes;
  }
}

/** The last index below `count` for which `holds`, which is true up to some index and false from there on; -1 for none. */
async function lastIndex(count: number, holds: (index: number) => Promise<boolean>): Promise<number> {
  let [low, high] = [-1, count];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await holds(middle)) low = middle;
    else high = middle;
  }
  return low;
}

const at = (ranges: readonly TxidRange[], index: number): TxidRange => ranges[index] as TxidRange;

const gone = (key: string): SystemError =>
  new SystemError("chain_gap", `Cannot read ${key}: the object is gone`, {
    hint: "It was removed since it was listed. Try again.",
  });
