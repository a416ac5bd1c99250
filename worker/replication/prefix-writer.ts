import { SystemError } from "../../shared/errors.ts";
import type { Epoch, Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import {
  BUNDLE_HEADER_BYTES,
  type BundledFlush,
  decodeBundleHeader,
  encodeBundle,
} from "../../shared/log/bundle.ts";
import { decodeLtxHeader } from "../../shared/ltx/decode.ts";
import { encodeLtx } from "../../shared/ltx/encode.ts";
import { LTX_HEADER_BYTES, type LtxHeader, ltxPages } from "../../shared/ltx/ltx.ts";
import { mergeEncodedLtx } from "../../shared/ltx/merge-encoded.ts";
import type { ObjectBody, ObjectStore } from "../../shared/objects/contract.ts";
import { SNAPSHOT_LEVEL, bundleKey, ltxKey } from "../../shared/objects/layout.ts";
import { objectStream, sideBySide } from "./bulk/chunks.ts";
import { fileBody, spooled } from "./bulk/spool.ts";
import type { Bulk } from "./bulk/work.ts";
import { imagePageSize, imagePages } from "./capture.ts";
import type { Clock } from "./clock.ts";
import { fetchObject } from "./fetch-object.ts";
import type { DatabaseLedger, LedgerEntry } from "./ledger.ts";
import { putOnce } from "./put-durably.ts";

/** A whole database at one TXID. */
export interface DatabaseImage {
  image: Uint8Array;
  txid: Txid;
  epoch: Epoch;
  timestampMs: number;
}

export interface PrefixWriterOptions {
  store: ObjectStore;
  clock: Clock;
  signal: AbortSignal;
  bulk: Bulk;
}

export interface PrefixCounters {
  files: number;
  snapshots: number;
  bytes: number;
  bundles: number;
  bundleBytes: number;
}

/** What a file must say to be taken for the one that was to be written. */
export type FileFacts = Pick<LtxHeader, "pageSize" | "commit" | "minTxid" | "maxTxid">;

/**
 * Creates an LTX file under a tenant's prefix; one from TXID 1 holds every page, so it stands among the snapshots. One that is there
 * is an earlier try of ours, or of an owner before us: the same TXIDs hold the same content, or somebody else writes here.
 *
 * @throws SystemError `object_foreign`
 */
export async function putFile(
  { store, clock, signal }: Pick<PrefixWriterOptions, "store" | "clock" | "signal">,
  { tenant, database }: Pick<DatabaseLedger, "tenant" | "database">,
  file: { facts: FileFacts; length: number; body: () => ObjectBody | Promise<ObjectBody>; level?: number },
): Promise<string> {
  const { facts, length, body } = file;
  const level = file.level ?? (facts.minTxid === 1 ? SNAPSHOT_LEVEL : 1);
  const key = ltxKey(tenant, database, level, facts.minTxid, facts.maxTxid);
  const isSame = (bytes: Uint8Array, size: number): boolean => {
    const there = decodeLtxHeader(bytes);
    return (
      there.pageSize === facts.pageSize &&
      there.commit === facts.commit &&
      there.minTxid === facts.minTxid &&
      there.maxTxid === facts.maxTxid &&
      // Free pages of two snapshots may differ, and how pages are compressed.
      (level !== 1 || size === length)
    );
  };
  await putOnce(store, key, body, { headerBytes: LTX_HEADER_BYTES, isSame }, { clock, signal });
  return key;
}

/** Writes what ledgers hold, and snapshots, under tenants' prefixes. */
export class PrefixWriter {
  readonly #options: PrefixWriterOptions;
  readonly #counters: PrefixCounters;

  constructor(options: PrefixWriterOptions, counters: PrefixCounters) {
    this.#options = options;
    this.#counters = counters;
  }

  /** @returns bytes of the file */
  async putRun(ledger: DatabaseLedger, run: readonly LedgerEntry[], min: Txid): Promise<number> {
    const [first] = run;
    const last = run.at(-1);
    if (first === undefined || last === undefined) return 0;
    const { pageSize, commit, position } = last;
    const facts: FileFacts = { pageSize, commit, minTxid: min, maxTxid: position.txid };
    if (first.ltx === undefined) return this.#copyReference(ledger, first, facts);
    // Before the file: when that is there, nobody has the flushes any more.
    if (run.length > 1) await this.#putBundle(ledger, run, min);
    const bytes = run.reduce((sum, entry) => sum + entry.bytes, 0);
    if (run.length > 1 && bytes >= limits.bulkBytesMin) return this.#putMerged(ledger, run, facts);
    const body = run.length === 1 ? first.ltx : mergeEncodedLtx(run.map((entry) => entry.ltx as Uint8Array));
    await this.#put(ledger, facts, body.length, () => body);
    return body.length;
  }

  async putSnapshot(
    ledger: DatabaseLedger,
    { image, txid, epoch, timestampMs }: DatabaseImage,
  ): Promise<void> {
    const pageSize = imagePageSize(image);
    const header: LtxHeader = {
      pageSize,
      commit: image.length / pageSize,
      minTxid: 1 as Txid,
      maxTxid: txid,
      timestampMs,
      epoch,
      walOffset: 0,
      walSize: 0,
      salt1: 0,
      salt2: 0,
    };
    const bytes = encodeLtx(header, ltxPages(imagePages(image)));
    await this.#put(ledger, header, bytes.length, () => bytes);
    ledger.snapshotTaken(bytes.length, this.#options.clock.nowMs());
    this.#counters.snapshots++;
  }

  async #copyReference(ledger: DatabaseLedger, { ref }: LedgerEntry, facts: FileFacts): Promise<number> {
    const { store, clock, signal } = this.#options;
    if (ref === undefined) throw new SystemError("internal", "Cannot materialise an entry: it has no body");
    const { key, length } = ref;
    const body = async (): Promise<ObjectBody> =>
      length <= limits.bulkInMemoryBytesMax
        ? fetchObject(store, key, length, signal)
        : { stream: objectStream({ store, clock, signal }, { key, size: length }), length };
    await this.#put(ledger, facts, length, body);
    return length;
  }

  /** A long backlog: not in one turn of the event loop. */
  async #putMerged(ledger: DatabaseLedger, run: readonly LedgerEntry[], facts: FileFacts): Promise<number> {
    const { bulk, signal } = this.#options;
    const inputs = run.map(({ position: { txid } }) => ({
      name: `entry ${txid} of ${ledger.database}`,
      minTxid: txid,
      maxTxid: txid,
    }));
    const sources = run.map(({ ltx }) => ({ bytes: ltx as Uint8Array }));
    return spooled(bulk, async (directory) => {
      const job = { target: `${directory}/merged`, inputs, snapshot: false };
      const { files } = await bulk.work.run("merge", job, sideBySide(this.#options, sources), signal);
      const [file] = files;
      if (file === undefined || files.length !== 1) {
        throw new SystemError("internal", "Cannot merge a run of entries: page sizes differ");
      }
      await this.#put(ledger, facts, file.length, () => fileBody(file));
      return file.length;
    });
  }

  /** The run's flushes one by one, for going back to any of them. One alone is its own file. */
  async #putBundle(ledger: DatabaseLedger, run: readonly LedgerEntry[], min: Txid): Promise<void> {
    const { store, clock, signal } = this.#options;
    const bytes = encodeBundle(run.map((entry) => bundled(ledger, entry)));
    const maxTxid = (min + run.length - 1) as Txid;
    const key = bundleKey(ledger.tenant, ledger.database, min, maxTxid);
    const isSame = (header: Uint8Array, size: number): boolean => {
      const there = decodeBundleHeader(header);
      return there.minTxid === min && there.maxTxid === maxTxid && size === bytes.length;
    };
    await putOnce(store, key, () => bytes, { headerBytes: BUNDLE_HEADER_BYTES, isSame }, { clock, signal });
    this.#counters.bundles++;
    this.#counters.bundleBytes += bytes.length;
  }

  async #put(
    ledger: DatabaseLedger,
    facts: FileFacts,
    length: number,
    body: () => ObjectBody | Promise<ObjectBody>,
  ): Promise<void> {
    await putFile(this.#options, ledger, { facts, length, body });
    this.#counters.files++;
    this.#counters.bytes += length;
  }
}

/** As it stood in the log: the same facts give the same bytes. */
function bundled(
  { tenant, database }: DatabaseLedger,
  { ltx, stored, crc, position: { txid, entryHash } }: LedgerEntry,
): BundledFlush {
  if (ltx === undefined) throw new SystemError("internal", "Cannot bundle an entry: it has no body");
  const { epoch, timestampMs } = decodeLtxHeader(ltx);
  return {
    entry: {
      ...{ kind: "data", tenant, database, epoch: epoch as Epoch, txid, entryHash, ltx },
      ...(stored === undefined ? {} : { encrypted: true, stored }),
    },
    timestampMs,
    crc,
  };
}
