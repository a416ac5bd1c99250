import type { DatabaseName, Incarnation, LogSeq, TenantId } from "../../../shared/ids.ts";
import { decodeLogHeader, decodeLogObject } from "../../../shared/log/decode.ts";
import type { DataEntry, RefEntry } from "../../../shared/log/log.ts";
import { decodeLtx } from "../../../shared/ltx/decode.ts";
import type { LtxFile } from "../../../shared/ltx/ltx.ts";
import type { Coverage } from "./coverage.ts";
import { SealJudge } from "./seal-judge.ts";
import type { StoreObserver } from "./sim-store.ts";
import { StateJudge } from "./state-judge.ts";
import { Violation } from "./violation.ts";

const LOG = /^workers\/([0-9a-f]{16})\/log\/([0-9a-f]{16})\.wlog$/;
const LTX = /^tenants\/([^/]+)\/litestream\/([^/]+)\/([0-9a-f]{4})\/([0-9a-f]{16})-([0-9a-f]{16})\.ltxe?$/;

/** A database at one TXID, as the log tells it. */
interface Version {
  epoch: number;
  incarnation: Incarnation;
  commit: number;
  pageSize: number;
  /** What this TXID changed. */
  pages: ReadonlyMap<number, Uint8Array>;
  /** Of the whole file. */
  hash: bigint;
}

interface DatabaseHistory {
  versions: Version[];
  /** How many of them are the parent's of a branch. */
  inherited: number;
  pages: Map<number, Uint8Array>;
}

interface LogHistory {
  /** Slots that the writer has had. One may come again: a late try of what was deleted long ago. */
  slots: Set<LogSeq>;
  lastEntries: number;
  lowWatermark: number;
  end: LogSeq | undefined;
  forgotten: boolean;
}

/**
 * Reads along what is written to the store and keeps, from the logs alone, what every database was at every TXID. It knows
 * nothing of the product's memory, and the product nothing of it.
 */
export class StoreHistory implements StoreObserver {
  readonly #objects: () => ReadonlyMap<string, Uint8Array>;
  readonly #coverage: Coverage;
  readonly #databases = new Map<string, DatabaseHistory>();
  readonly #logs = new Map<Incarnation, LogHistory>();
  readonly seals: SealJudge;
  readonly states: StateJudge;
  readonly #shredded = new Set<string>();

  constructor(objects: () => ReadonlyMap<string, Uint8Array>, coverage: Coverage, nowMs: () => number) {
    this.seals = new SealJudge(nowMs);
    this.states = new StateJudge(coverage, nowMs);
    this.#objects = objects;
    this.#coverage = coverage;
  }

  created(key: string, stored: Uint8Array): void {
    for (const tenant of this.#shredded) {
      if (key.startsWith(`tenants/${tenant}/`))
        throw new Violation(`${key} is made after its tenant is gone`);
    }
    const bytes = this.seals.object(key, stored, (tenant) => this.hasContent(tenant));
    this.#coverage.add("plain texts of plain tenants", this.seals.takeMarks());
    if (bytes !== stored) this.#coverage.add("sealed objects");
    const log = LOG.exec(key);
    if (log !== null) return this.#logged(key, bytes);
    if (key.endsWith(".bundle")) this.#coverage.add("bundles");
    const ltx = LTX.exec(key);
    if (ltx === null) return;
    const [, tenant, database, level, min, max] = ltx;
    this.#coverage.add("files under prefixes");
    if (level === "0002" || level === "0003") this.#coverage.add("compacted files");
    if (level === "0009") this.#coverage.add("snapshots");
    const name = `${tenant}/${database}`;
    this.#checkFile(name, key, decodeLtx(bytes), Number.parseInt(min!, 16), Number.parseInt(max!, 16));
  }

  removed(key: string): void {
    if (LOG.test(key)) this.#coverage.add("truncated logs");
    if (LTX.test(key)) this.#coverage.add("files removed");
  }

  refused(key: string, bytes: Uint8Array, there: Uint8Array): void {
    if (!LOG.test(key)) return;
    const [mine, other] = [decodeLogHeader(bytes), decodeLogHeader(there)];
    if (mine.nonce === other.nonce) this.#coverage.add("own-nonce 412s");
    else this.#coverage.add("foreign 412s");
  }

  /** A dead log that control has recorded goes. A sealer that comes too late may find another end, which nobody takes. */
  forgotten(incarnation: Incarnation): void {
    this.#log(incarnation).forgotten = true;
  }

  /** A sealer's result. */
  sealed(incarnation: Incarnation, end: LogSeq): void {
    const log = this.#log(incarnation);
    if (log.forgotten) return;
    if (log.end !== undefined && log.end !== end) {
      throw new Violation(`two sealers of log ${incarnation} disagree: ${log.end} and ${end}`);
    }
    log.end = end;
    if (log.lastEntries >= end) {
      throw new Violation(
        `log ${incarnation} was sealed at ${end}, but its writer has slot ${log.lastEntries}`,
      );
    }
  }

  /** Slots below may be deleted while the log is written. */
  lowWatermark(incarnation: Incarnation): number {
    return this.#log(incarnation).lowWatermark;
  }

  newestTxid(tenant: string, database: string): number {
    return this.#databases.get(`${tenant}/${database}`)?.versions.length ?? 0;
  }

  /** Whether anything of the tenant was ever logged. */
  hasContent(tenant: string): boolean {
    for (const [name, { versions, inherited }] of this.#databases) {
      if (name.startsWith(`${tenant}/`) && versions.length > inherited) return true;
    }
    return false;
  }

  /** Up to its point a branch is what its parent was. */
  branched(branch: TenantId, parent: TenantId, database: DatabaseName, txid: number): void {
    const versions: Version[] = [];
    const pages = new Map<number, Uint8Array>();
    for (const version of this.#databases.get(`${parent}/${database}`)?.versions.slice(0, txid) ?? []) {
      applyPages(pages, version, versions.at(-1));
      versions.push({ ...version, epoch: 0 });
    }
    this.#databases.set(`${branch}/${database}`, { versions, inherited: versions.length, pages });
  }

  /** Its keys are deleted. */
  shredded(tenant: TenantId): void {
    this.#shredded.add(tenant);
    this.seals.shredded(tenant, this.#objects());
  }

  /** What a file must be, byte for byte. */
  checkImage(tenant: string, database: string, txid: number, image: Uint8Array, whose: string): void {
    if (txid === 0) return;
    const version = this.#databases.get(`${tenant}/${database}`)?.versions[txid - 1];
    if (version === undefined)
      throw new Violation(`${whose} has TXID ${txid} of ${tenant}/${database}: no log has`);
    if (version.hash === Bun.hash.wyhash(image)) return;
    throw new Violation(
      `${whose} of ${tenant}/${database} at TXID ${txid} is not what its owner logged: ${image.length} bytes, ${version.commit} pages`,
    );
  }

  #log(incarnation: Incarnation): LogHistory {
    let log = this.#logs.get(incarnation);
    if (log === undefined) {
      log = { slots: new Set(), lastEntries: 0, lowWatermark: 0, end: undefined, forgotten: false };
      this.#logs.set(incarnation, log);
    }
    return log;
  }

  #logged(key: string, bytes: Uint8Array): void {
    const { header, entries } = decodeLogObject(bytes);
    const { incarnation, seq, kind, lowWatermark } = header;
    const log = this.#log(incarnation);
    if (kind === "seal" || log.slots.has(seq)) return;
    log.slots.add(seq);
    if (log.end !== undefined && seq >= log.end) {
      // Allowed: nobody reads it. What must not happen is that anybody is told.
      return;
    }
    log.lastEntries = Math.max(log.lastEntries, seq);
    log.lowWatermark = Math.max(log.lowWatermark, lowWatermark);
    this.states.logged(incarnation, seq);
    for (const entry of entries) {
      if (entry.kind === "state") this.#coverage.add("STATEs");
      if (entry.kind === "data" || entry.kind === "ref") this.#entry(key, incarnation, entry);
    }
  }

  #entry(key: string, incarnation: Incarnation, entry: DataEntry | RefEntry): void {
    const { tenant, database, txid, epoch } = entry;
    const name = `${tenant}/${database}`;
    let history = this.#databases.get(name);
    if (history === undefined) {
      history = { versions: [], inherited: 0, pages: new Map() };
      this.#databases.set(name, history);
    }
    const last = history.versions.at(-1);
    if (txid <= history.versions.length) {
      const other = history.versions[txid - 1]!;
      throw new Violation(
        `two owners log TXID ${txid} of ${name}: incarnations ${other.incarnation} and ${incarnation} (${key})`,
      );
    }
    if (txid !== history.versions.length + 1) {
      throw new Violation(`TXID ${txid} of ${name} follows ${history.versions.length} in ${key}`);
    }
    if (last !== undefined && epoch < last.epoch)
      throw new Violation(`epoch ${epoch} of ${name} after ${last.epoch}`);
    let body: Uint8Array;
    if (entry.kind === "data") {
      body = this.seals.entry(entry, entry.encrypted === true, entry.ltx);
      if (entry.encrypted === true) this.#coverage.add("sealed entries");
    } else {
      this.#coverage.add("REFs");
      const large = this.#objects().get(entry.key);
      if (large === undefined) throw new Violation(`${key} refers to ${entry.key}, which is not there`);
      body = this.seals.object(entry.key, large, () => true);
    }
    const { header, pages } = decodeLtx(body);
    applyPages(history.pages, { pageSize: header.pageSize, commit: header.commit, pages }, last);
    const hash = hashPages(history.pages, header.commit, header.pageSize);
    history.versions.push({
      epoch,
      incarnation,
      commit: header.commit,
      pageSize: header.pageSize,
      pages,
      hash,
    });
  }

  /** A file under a prefix says nothing that the log does not say, and says it right. */
  #checkFile(name: string, key: string, { header, pages }: LtxFile, min: number, max: number): void {
    const versions = this.#databases.get(name)?.versions ?? [];
    if (max > versions.length) {
      throw new Violation(`${key} is ahead of its owner's log, which ends at TXID ${versions.length}`);
    }
    const last = versions[max - 1]!;
    const right = header.minTxid === min && header.maxTxid === max && header.commit === last.commit;
    if (!right || header.pageSize !== last.pageSize) throw new Violation(`${key} is not what its name says`);
    if (min === 1) {
      if (hashPages(pages, header.commit, header.pageSize) === last.hash) return;
      throw new Violation(`${key} is not the database at TXID ${max}`);
    }
    const expected = new Map<number, Uint8Array>();
    for (const { pages: changed } of versions.slice(min - 1, max)) {
      for (const [pgno, data] of changed) expected.set(pgno, data);
    }
    for (const pgno of expected.keys()) if (pgno > last.commit) expected.delete(pgno);
    for (const [pgno, data] of expected) {
      const found = pages.get(pgno);
      if (found === undefined || Buffer.compare(found, data) !== 0) {
        throw new Violation(`${key} lacks page ${pgno} as it is at TXID ${max}`);
      }
    }
    if (pages.size !== expected.size)
      throw new Violation(`${key} has ${pages.size} pages, not ${expected.size}`);
  }
}

function applyPages(
  to: Map<number, Uint8Array>,
  { pageSize, commit, pages }: Pick<Version, "pageSize" | "commit" | "pages">,
  before: Version | undefined,
): void {
  if (before !== undefined && before.pageSize !== pageSize) to.clear();
  for (const [pgno, data] of pages) to.set(pgno, data);
  for (const pgno of to.keys()) if (pgno > commit) to.delete(pgno);
}

function hashPages(pages: ReadonlyMap<number, Uint8Array>, commit: number, pageSize: number): bigint {
  const image = new Uint8Array(commit * pageSize);
  for (const [pgno, data] of pages) if (pgno <= commit) image.set(data, (pgno - 1) * pageSize);
  return Bun.hash.wyhash(image);
}
