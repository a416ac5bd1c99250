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
  newTenantId,
  randomText,
} from "../../shared/ids.ts";
import { sealLog } from "../../shared/log/seal.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Assignment, Positions, Tail } from "../../shared/protocol/internal.ts";
import { openObjectStore } from "../objects/open.ts";
import type { Tenant } from "./contract.ts";
import { type TenantHost, type TenantHostOptions, createTenantHost } from "./host.ts";
import type { Report } from "./reports.ts";

export const newNonce = (): string => randomText(32, "0123456789abcdef");

interface Known {
  epoch: number;
  incarnation: Incarnation | undefined;
  base: Positions;
  tails: Tail[];
  virgin: boolean;
  durability: "durable" | "async";
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
        assignment: (tenant) => Promise.resolve(this.#assignment(tenant)),
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

  create(host: TestHost, durability: "durable" | "async" = "durable"): TenantId {
    const id = newTenantId((n) => crypto.getRandomValues(new Uint8Array(n)));
    this.tenants.set(id, {
      epoch: 1,
      incarnation: host.incarnation,
      base: {},
      tails: [],
      virgin: true,
      durability,
    });
    return id;
  }

  /** Loads the tenant where control has put it. */
  async at(host: TestHost, id: TenantId): Promise<Tenant> {
    return await host.acquire(id, this.known(id).epoch as Epoch);
  }

  /** Seals the log of a host and gives its tenants to another. */
  async takeOver(from: TestHost, to: TestHost, nonce = newNonce()): Promise<LogSeq> {
    const endSeq = await sealLog({ store: this.store, incarnation: from.incarnation, from: 0 as LogSeq, nonce });
    for (const known of this.tenants.values()) {
      if (known.incarnation !== from.incarnation) continue;
      known.tails.push({ incarnation: from.incarnation, endSeq });
      known.epoch++;
      known.incarnation = to.incarnation;
    }
    return endSeq;
  }

  /** What a clean exit or release tells control. */
  give(id: TenantId, base: Positions, to: TestHost): void {
    const known = this.known(id);
    Object.assign(known, { base, epoch: known.epoch + 1, incarnation: to.incarnation, virgin: false });
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

  #assignment(id: TenantId): Assignment | undefined {
    const known = this.tenants.get(id);
    if (known?.incarnation === undefined) return undefined;
    const { epoch, incarnation, base, tails, virgin, durability } = known;
    const slug = "test" as Slug;
    return { tenant: id, slug, epoch: epoch as Epoch, incarnation, durability, base, tails: [...tails], virgin };
  }

  #report(reports: Report[]): void {
    this.reports.push(...reports);
    for (const report of reports) {
      const known = this.tenants.get(report.tenant);
      if (known?.epoch !== report.epoch || report.kind !== "materialised") continue;
      known.base = report.base ?? known.base;
      known.virgin = false;
      known.tails = known.tails.filter((tail) => report.cleared?.includes(tail.incarnation) !== true);
    }
  }
}
