import { rmSync } from "node:fs";
import type { Incarnation, LogSeq } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { entryCrc, logEntryBytes } from "../../shared/log/encode.ts";
import type { DirectoryDatabase, LogEntry } from "../../shared/log/log.ts";
import type { ObjectBody, ObjectStore } from "../../shared/objects/contract.ts";
import { largeKey } from "../../shared/objects/layout.ts";
import { fileBody } from "../replication/bulk/spool.ts";
import type { BulkWork } from "../replication/bulk/work.ts";
import type { Cut } from "../replication/capture.ts";
import type { Clock } from "../replication/clock.ts";
import type { LogGroup, LogPlace, LogSource } from "../replication/log-writer.ts";
import { putDurably } from "../replication/put-durably.ts";
import type { StateLog } from "../state/state-log.ts";
import type { LaterCut } from "./database-cuts.ts";
import type { LoadedDatabase } from "./loaded-database.ts";
import type { LoadedTenant } from "./loaded-tenant.ts";

export interface LogQueueOptions {
  store: ObjectStore;
  incarnation: Incarnation;
  clock: Clock;
  /** 32 lower-case hex digits, new at each call: names a large object. */
  newNonce: () => string;
  /** There is something to take. */
  request: () => void;
  oldestNeeded: () => LogSeq | undefined;
  pendingEntries: () => readonly DirectoryDatabase[];
  states: Pick<StateLog, "take" | "last">;
  /** For cuts that are too large for one turn. */
  work: BulkWork;
  /** A TXID of this database is in the log. */
  logged: (tenant: LoadedTenant, database: LoadedDatabase) => void;
  /** The tenant's local state cannot be trusted any more. */
  broken: (tenant: LoadedTenant, error: unknown) => void;
}

/** What goes into the next log object: tenants with uncaptured commits, in turn, each as one group. */
export class LogQueue implements LogSource {
  readonly #options: LogQueueOptions;
  readonly #dirty = new Set<LoadedTenant>();
  /**
   * Nobody waits for what they have committed: then (monotonic) it is dirty. Until then further commits to the same pages cost nothing.
   * All wait equally long, so they stand in the order of their times.
   */
  readonly #soon = new Map<LoadedTenant, number>();
  #waking = false;
  readonly #ready: LogGroup[] = [];
  /** Groups of each tenant that are in line or under way. */
  readonly #pending = new Map<LoadedTenant, number>();

  constructor(options: LogQueueOptions) {
    this.#options = options;
  }

  dirty(tenant: LoadedTenant): void {
    this.#soon.delete(tenant);
    this.#dirty.add(tenant);
    this.#options.request();
  }

  dirtySoon(tenant: LoadedTenant): void {
    if (this.#soon.has(tenant) || this.#dirty.has(tenant)) return;
    this.#soon.set(tenant, this.#options.clock.monotonicMs() + limits.asyncFlushMs);
    this.#wake(limits.asyncFlushMs);
  }

  /** Tenants that come one after another are cut so, too: all in one turn would hold up everybody. */
  #wake(delayMs: number): void {
    if (this.#waking) return;
    this.#waking = true;
    const { clock } = this.#options;
    clock.after(delayMs, () => {
      this.#waking = false;
      const nowMs = clock.monotonicMs();
      for (const [tenant, dueMs] of this.#soon) {
        if (dueMs > nowMs) break;
        this.#soon.delete(tenant);
        this.#dirty.add(tenant);
      }
      this.#options.request();
      const [next] = this.#soon.values();
      if (next !== undefined) this.#wake(Math.max(next - nowMs, limits.asyncFlushEveryMs));
    });
  }

  forget(tenant: LoadedTenant): void {
    this.#dirty.delete(tenant);
    this.#soon.delete(tenant);
  }

  take(): LogGroup | undefined {
    const ready = this.#ready.shift();
    if (ready !== undefined) return ready;
    for (const tenant of this.#dirty) {
      this.#dirty.delete(tenant);
      // Its turn comes when the upload is done.
      if (tenant.uploading !== undefined) continue;
      // Another process is committing: capture looks again when that is over.
      if (tenant.commitsElsewhere) continue;
      const group = this.#cutTenant(tenant);
      if (group !== undefined) return group;
    }
    return undefined;
  }

  oldestNeeded(): LogSeq | undefined {
    return this.#options.oldestNeeded();
  }

  passengers(place: LogPlace): LogGroup | undefined {
    return this.#options.states.take(place);
  }

  pendingEntries(): readonly DirectoryDatabase[] {
    return this.#options.pendingEntries();
  }

  /**
   * Logs a last time what the tenant has, and that it has left. Under the write lock. Resolves when that is durable.
   */
  async release(tenant: LoadedTenant): Promise<void> {
    await this.cutNow(tenant);
    const { gone } = tenant;
    return new Promise((resolve, reject) => {
      if (gone.aborted) return reject(gone.reason as Error);
      gone.addEventListener("abort", () => reject(gone.reason as Error), { once: true });
      const { id, epoch } = tenant;
      const state = this.#options.states.last(tenant);
      const group = this.#group(
        tenant,
        [],
        [
          ...(state === undefined ? [] : [state]),
          { kind: "release", tenant: id, epoch, positions: tenant.captured() },
        ],
      );
      this.#enqueue({
        ...group,
        durable: (seq, items, object) => {
          group.durable(seq, items, object);
          resolve();
        },
      });
    });
  }

  /** Under the write lock: everything committed is cut and stands in line for the log when this resolves. */
  async cutNow(tenant: LoadedTenant): Promise<void> {
    await tenant.uploading;
    this.forget(tenant);
    const group = this.#cutTenant(tenant);
    if (group !== undefined) this.#enqueue(group);
    await tenant.uploading;
    tenant.checkHere();
  }

  /** Whether something that was cut is not durable yet, whether or not the tenant is still here. */
  isPending(tenant: LoadedTenant): boolean {
    return this.#pending.has(tenant);
  }

  /** Uploads a large cut that is not to be seen before it is there. @returns its key */
  async uploadLarge(tenant: LoadedTenant, cut: Cut): Promise<string> {
    const { store, incarnation, clock, newNonce } = this.#options;
    const key = largeKey(tenant.id, incarnation, newNonce());
    const { file, ltx } = cut;
    const body = (): ObjectBody => (file === undefined ? ltx : fileBody(file));
    await putDurably(store, key, body, { clock, signal: tenant.gone });
    return key;
  }

  /** Cuts that were made elsewhere (an import); their large objects are there. */
  add(tenant: LoadedTenant, cuts: readonly LoggedCut[]): void {
    this.#enqueue(this.#group(tenant, cuts));
  }

  #enqueue(group: LogGroup): void {
    this.#ready.push(group);
    this.#options.request();
  }

  #cutTenant(tenant: LoadedTenant): LogGroup | undefined {
    const cuts = this.#cuts(tenant);
    if (cuts === undefined || cuts.length === 0) return undefined;
    if (cuts.every(isInline)) return this.#group(tenant, cuts);
    this.#upload(tenant, cuts);
    return undefined;
  }

  /** @returns undefined when the tenant is broken now */
  #cuts(tenant: LoadedTenant): OpenCut[] | undefined {
    const cuts: OpenCut[] = [];
    let inlineBytes = 0;
    try {
      for (const database of tenant.databases.values()) {
        const cut = database.cuts.cut(limits.logInlineEntryBytesMax - inlineBytes);
        if (cut === undefined) continue;
        if (typeof cut !== "function" && cut.sha256 === undefined)
          inlineBytes += (cut.stored ?? cut.ltx).length;
        cuts.push({ database, cut, key: undefined });
      }
      return cuts;
    } catch (error) {
      this.#options.broken(tenant, error);
      return undefined;
    }
  }

  #upload(tenant: LoadedTenant, cuts: readonly OpenCut[]): void {
    const uploads = cuts.map(async ({ database, cut: open }): Promise<LoggedCut> => {
      const isLater = typeof open === "function";
      const cut = isLater ? await open(this.#options.work, tenant.gone) : open;
      try {
        const key = cut.sha256 === undefined ? undefined : await this.uploadLarge(tenant, cut);
        return { database, cut, key };
      } finally {
        if (isLater && cut.file !== undefined) rmSync(cut.file.path, { force: true });
      }
    });
    tenant.uploading = Promise.all(uploads)
      .then((uploaded) => {
        tenant.uploading = undefined;
        // Its TXIDs are given out anew after a reload: this one must not follow.
        if (tenant.lost !== undefined) return;
        this.#enqueue(this.#group(tenant, uploaded));
        if (tenant.isDirty) this.dirty(tenant);
      })
      .catch((error: unknown) => {
        // The one way out of the tries is that the tenant is gone.
        if (!tenant.gone.aborted) this.#options.broken(tenant, error);
      });
  }

  #group(tenant: LoadedTenant, cuts: readonly LoggedCut[], more: readonly LogEntry[] = []): LogGroup {
    const entries: LogEntry[] = [...cuts.map(logEntry), ...more];
    this.#pending.set(tenant, (this.#pending.get(tenant) ?? 0) + 1);
    return {
      entries,
      bytes: entries.reduce((sum, entry) => sum + logEntryBytes(entry), 0),
      durable: (seq, items, object) => {
        const left = (this.#pending.get(tenant) ?? 1) - 1;
        if (left > 0) this.#pending.set(tenant, left);
        else this.#pending.delete(tenant);
        for (const [i, { database, cut, key }] of cuts.entries()) {
          const item = items[i];
          database.ledger.add({
            position: cut.position,
            ltx: key === undefined ? cut.ltx : undefined,
            stored: key === undefined ? cut.stored : undefined,
            ref: key === undefined ? undefined : { key, length: cut.bytes },
            pageSize: cut.pageSize,
            commit: cut.commit,
            bytes: cut.bytes,
            seq,
            ...(item === undefined
              ? {}
              : {
                  span: { epoch: cut.epoch, offset: item.offset, length: item.length },
                  crc: entryCrc(object, item),
                }),
            atMs: this.#options.clock.monotonicMs(),
          });
          database.position.becameDurable(cut.position.txid);
          this.#options.logged(tenant, database);
        }
      },
    };
  }
}

/** A cut as its database gave it. */
type OpenCut = Pick<LoggedCut, "database" | "key"> & { cut: Cut | LaterCut };

/** It needs no object of its own. */
const isInline = (open: OpenCut): open is LoggedCut =>
  typeof open.cut !== "function" && open.cut.sha256 === undefined;

/** A cut on its way to the log. */
export interface LoggedCut {
  database: LoadedDatabase;
  cut: Cut;
  /** Of its large object, once that is durable. */
  key: string | undefined;
}

function logEntry({ cut, key }: LoggedCut): LogEntry {
  const { tenant, database, epoch, ltx, bytes, stored, sha256, storedDigest, position } = cut;
  const facts = { tenant, database, epoch, txid: position.txid, entryHash: position.entryHash };
  if (key === undefined || sha256 === undefined) {
    return { kind: "data", ...facts, ltx, ...(stored === undefined ? {} : { encrypted: true, stored }) };
  }
  const encrypted = storedDigest === undefined ? {} : { encrypted: true as const, storedDigest };
  return { kind: "ref", ...facts, key, sha256, length: bytes, ...encrypted };
}
