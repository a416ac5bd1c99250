/** For tests: object storage in a temporary directory, a control that keeps its promises, and hosts over both. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Epoch,
  type Incarnation,
  type LogSeq,
  type Slug,
  type TenantId,
  type Txid,
  newTenantId,
  randomText,
} from "../../shared/ids.ts";
import { sealLog } from "../../shared/log/seal.ts";
import { SystemError, UserError } from "../../shared/errors.ts";
import type { ObjectBody, ObjectStore, PutOptions, PutOutcome } from "../../shared/objects/contract.ts";
import type { Assignment, CarriedState, Origin, Positions, Tail } from "../../shared/protocol/internal.ts";
import { type Clock, systemClock } from "../replication/clock.ts";
import { faultyStore } from "../objects/faults.ts";
import { openObjectStore } from "../objects/open.ts";
import type { Tenant } from "./contract.ts";
import { type TenantHost, type TenantHostOptions, createTenantHost } from "./host.ts";
import type { Report } from "./reports.ts";

export const newNonce = (): string => randomText(32, "0123456789abcdef");

interface Known {
  /** A branch. */
  origin?: Origin;
  epoch: number;
  incarnation: Incarnation | undefined;
  base: Positions;
  tails: Tail[];
  virgin: boolean;
  durability: "durable" | "async";
  encrypted?: true;
  dueMs?: number | undefined;
  carried?: CarriedState | undefined;
  storageBytesMax?: number;
}

export interface TestHost extends TenantHost {
  incarnation: Incarnation;
  nonce: string;
}

export class TestWorld {
  readonly directory = mkdtempSync(join(tmpdir(), "tenant-host-"));
  readonly store: ObjectStore;
  readonly tenants = new Map<TenantId, Known>();
  readonly reports: Report[] = [];
  readonly errors: unknown[] = [];
  mayAnswer = true;
  #incarnations = 0;
  readonly #hosts = new Set<TestHost>();

  private constructor(store: ObjectStore) {
    this.store = store;
  }

  static async open(): Promise<TestWorld> {
    const directory = mkdtempSync(join(tmpdir(), "tenant-store-"));
    return new TestWorld(await openObjectStore(`file:${directory}`, {}));
  }

  host(options: Partial<TenantHostOptions> = {}): TestHost {
    const incarnation = ++this.#incarnations as Incarnation;
    const nonce = newNonce();
    const host = createTenantHost({
      directory: this.directory,
      store: this.store,
      incarnation,
      nonce,
      control: {
        assignment: (tenant) => Promise.resolve(this.assignment(tenant)),
        report: (reports) => Promise.resolve(this.#report(reports)),
        mayAnswer: () => this.mayAnswer,
      },
      bootstrap: () => Promise.resolve(),
      onError: (error) => void this.errors.push(error),
      ...options,
    });
    const test = Object.assign(host, { incarnation, nonce });
    this.#hosts.add(test);
    return test;
  }

  create(
    host: TestHost,
    durability: "durable" | "async" = "durable",
    more: { encrypted?: true; storageBytesMax?: number } = {},
  ): TenantId {
    const id = newTenantId((n) => crypto.getRandomValues(new Uint8Array(n)));
    this.tenants.set(id, {
      epoch: 1,
      incarnation: host.incarnation,
      base: {},
      tails: [],
      virgin: true,
      durability,
      ...more,
    });
    return id;
  }

  /** As control does when the parent's owner has pinned what the branch reads. */
  branch(host: TestHost, id: TenantId, parent: TenantId, txids: Record<string, { txid: Txid }>): void {
    const positions = Object.entries(txids);
    this.tenants.set(id, {
      epoch: 1,
      incarnation: host.incarnation,
      base: Object.fromEntries(positions.map(([name, { txid }]) => [name, { txid, entryHash: "" }])),
      tails: [],
      virgin: false,
      durability: "durable",
      ...(this.known(parent).encrypted === true ? { encrypted: true } : {}),
      origin: {
        tenant: parent,
        encrypted: this.known(parent).encrypted === true,
        databases: Object.fromEntries(positions.map(([name, { txid }]) => [name, txid])),
      },
    });
  }

  /** Loads the tenant where control has put it. */
  async at(host: TestHost, id: TenantId): Promise<Tenant> {
    return await host.acquire(id, this.known(id).epoch as Epoch);
  }

  /** Seals the log of a host and gives its tenants to another. */
  async takeOver(from: TestHost, to: TestHost, nonce = newNonce()): Promise<LogSeq> {
    const endSeq = await sealLog({
      store: this.store,
      incarnation: from.incarnation,
      from: 0 as LogSeq,
      nonce,
    });
    for (const known of this.tenants.values()) {
      if (known.incarnation !== from.incarnation) continue;
      known.tails.push({ incarnation: from.incarnation, endSeq, epoch: known.epoch as Epoch });
      known.epoch++;
      known.incarnation = to.incarnation;
    }
    return endSeq;
  }

  /** What a clean exit or release tells control. */
  give(id: TenantId, base: Positions, to: TestHost): void {
    const known = this.known(id);
    const virgin = known.virgin && Object.keys(base).length === 0;
    Object.assign(known, { base, epoch: known.epoch + 1, incarnation: to.incarnation, virgin });
  }

  known(id: TenantId): Known {
    const known = this.tenants.get(id);
    if (known === undefined) throw new Error(`no tenant ${id}`);
    return known;
  }

  close(): void {
    for (const host of this.#hosts) host.abandon();
    rmSync(this.directory, { recursive: true, force: true });
    rmSync(this.store.description.slice("file:".length), { recursive: true, force: true });
  }

  assignment(id: TenantId): Assignment | undefined {
    const known = this.tenants.get(id);
    if (known?.incarnation === undefined) return undefined;
    const { epoch, incarnation, base, tails, virgin, durability, encrypted, origin, dueMs } = known;
    const { storageBytesMax, carried } = known;
    const slug = "test" as Slug;
    return {
      tenant: id,
      slug,
      epoch: epoch as Epoch,
      incarnation,
      durability,
      base,
      tails: [...tails],
      virgin,
      ...(encrypted === undefined ? {} : { encrypted }),
      ...(origin === undefined ? {} : { origin }),
      ...(dueMs === undefined ? {} : { dueMs }),
      ...(carried === undefined ? {} : { carried }),
      ...(storageBytesMax === undefined ? {} : { storageBytesMax }),
    };
  }

  #report(reports: Report[]): void {
    this.reports.push(...reports);
    for (const report of reports) {
      const known = this.tenants.get(report.tenant);
      if (known?.epoch === report.epoch && report.dueMs !== undefined)
        known.dueMs = report.dueMs ?? undefined;
      if (known?.epoch !== report.epoch || report.kind !== "materialised") continue;
      known.base = report.base ?? known.base;
      // A tenant that was loaded but never written is as new as before.
      known.virgin &&= Object.keys(known.base).length === 0;
      known.tails = known.tails.filter((tail) => report.cleared?.includes(tail.incarnation) !== true);
    }
  }
}

/** Time that runs `factor` times as fast as the real one. */
export function fastClock(factor: number): Clock {
  return {
    ...systemClock,
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now() * factor,
    after: (delayMs, run) => systemClock.after(delayMs / factor, run),
  };
}

/** The store, whose creations of keys with `part` in them take longer. */
export function slowStore(store: ObjectStore, part: string, ms: number): ObjectStore {
  return faultyStore(store, (operation, key) =>
    operation === "putIfAbsent" && key.includes(part) ? { kind: "delay", ms } : undefined,
  );
}

/** The store, whose log PUTs wait while `closed`; other requests go through. */
export function gatedStore(store: ObjectStore): { store: ObjectStore; close(): void; open(): void } {
  let opened = Promise.withResolvers<void>();
  opened.resolve();
  const gated: ObjectStore = Object.create(store, {
    putIfAbsent: {
      value: async (key: string, body: ObjectBody, options?: PutOptions): Promise<PutOutcome> => {
        if (key.endsWith(".wlog")) await Promise.race([opened.promise, aborted(options?.signal)]);
        return store.putIfAbsent(key, body, options);
      },
    },
    ...Object.fromEntries(
      (["put", "get", "range", "head", "list", "delete", "copy", "thaw", "close"] as const).map((name) => [
        name,
        { value: (store[name] as () => unknown).bind(store) },
      ]),
    ),
    kind: { get: () => store.kind },
    description: { get: () => store.description },
  }) as ObjectStore;
  return {
    store: gated,
    close: () => void (opened = Promise.withResolvers<void>()),
    open: () => opened.resolve(),
  };
}

function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}

/** The code of the error that this throws or rejects with. */
export async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof UserError || error instanceof SystemError) return error.code;
    throw error;
  }
  throw new Error("expected an error");
}

const NOTES = "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)";

/** Writes a note and waits until the answer may leave. */
export async function putNote(tenant: Tenant, text: string): Promise<Record<string, string>> {
  const seen = tenant.observe();
  await tenant.data.write(seen, (tx) => {
    tx.exec(NOTES);
    tx.run("INSERT INTO notes (text) VALUES (?)", [text]);
  });
  await seen.settled();
  return seen.headers();
}

export function notes(tenant: Tenant): string[] {
  return tenant.data.read(tenant.observe(), (db) =>
    db.all<{ text: string }>("SELECT text FROM notes ORDER BY id").map((row) => row.text),
  );
}
