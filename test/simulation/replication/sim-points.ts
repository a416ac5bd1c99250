import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DATA_DB, type TenantId, type Txid } from "../../../shared/ids.ts";
import { createBranch, intendBranch } from "../../../control/domain/branch-tenant.ts";
import type { Slug } from "../../../shared/ids.ts";
import { encryptedStore } from "../../../worker/encryption/encrypted-store.ts";
import { entryCiphers } from "../../../worker/encryption/entry-ciphers.ts";
import { TenantKeys } from "../../../worker/encryption/tenant-keys.ts";
import type { Origin } from "../../../shared/protocol/internal.ts";
import { listHistory, reachable } from "../../../worker/points/history.ts";
import { originSteps } from "../../../worker/points/origin.ts";
import { pinBranch } from "../../../worker/points/pin-branch.ts";
import { restorePoint } from "../../../worker/points/restore-point.ts";
import { writePoint } from "../../../worker/points/write-point.ts";
import { inlineWork } from "../../../worker/replication/bulk/inline.ts";
import type { Clock } from "../../../worker/replication/clock.ts";
import type { Tenant } from "../../../worker/tenant/contract.ts";
import type { Desk } from "./operations.ts";
import type { Actor } from "./schedule.ts";
import { Violation } from "./violation.ts";
import type { World } from "./world.ts";

/** Looks at a prefix that may each time meet a file's removal: minutes here stand for days. */
const LOOKS_MAX = 6;

interface Pinned {
  parent: TenantId;
  branch: TenantId;
  txid: Txid;
}

/** Goes back in time, and remembers what branches were promised. The first branch of a world becomes a tenant of its own. */
export class SimulatedPoints {
  readonly #world: World;
  readonly #pinned: Pinned[] = [];
  founded: TenantId | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  /** Any point that the objects lead to can be read, and is what the log says. */
  async goBack(desk: Desk, tenant: Tenant, op: number): Promise<void> {
    const directory = join(desk.directory, `points-${op}`);
    mkdirSync(directory, { recursive: true });
    const { objects: store, id, gone: signal, history } = tenant;
    for (let look = 1; ; look++) {
      const ranges = reachable(
        (await listHistory(store, id, { signal })).get(DATA_DB) ?? { files: [], bundles: [] },
      );
      if (ranges.length === 0) return;
      const { first, last } = desk.random.pick(ranges);
      const txid = (first + desk.random.below(last - first + 1)) as Txid;
      const options = {
        ...{ store, tenant: id, signal, directory, clock: history.clock, nowMs: history.clock.nowMs() },
        open: history.open.bind(history),
        work: inlineWork,
        only: (name: string) => name === DATA_DB,
      };
      try {
        const { paths } = await restorePoint(options, txid);
        if (desk.actor.state !== "up") return;
        this.#world.coverage.add("points restored");
        const image = readFileSync(paths.get(DATA_DB) as string);
        rmSync(directory, { recursive: true });
        this.#world.history.checkImage(id, DATA_DB, txid, image, `the point in time of ${desk.actor.name}`);
        return;
      } catch (error) {
        const { code } = error as { code?: unknown };
        // Removed between the listing and the read, or older than is promised.
        const passes = code === "chain_gap" || code === "point_not_found";
        if (!passes || look >= LOOKS_MAX) throw error;
      }
    }
  }

  async branch(desk: Desk, tenant: Tenant, op: number): Promise<void> {
    const { control, coverage, history, tenants } = this.#world;
    const { domain } = control;
    const branch = op.toString(36).padStart(15, "x") as TenantId;
    const command = { id: branch, slug: `branch-${op}` as Slug, parent: tenant.id };
    domain.run(intendBranch(domain.table, { ...command, meta: domain.meta() }));
    const point = await pinBranch(tenant, { branch }, tenant.gone);
    const txid = point.databases[DATA_DB]?.txid;
    if (txid === undefined || desk.actor.state !== "up") return;
    coverage.add("branches pinned");
    this.#pinned.push({ parent: tenant.id, branch, txid });
    if (this.founded !== undefined) return;
    this.founded = branch;
    history.seals.declare(branch, history.seals.isEncrypted(tenant.id));
    history.branched(branch, tenant.id, DATA_DB, txid);
    domain.run(createBranch(domain.table, { ...command, meta: domain.meta(), point }));
    coverage.add("branches founded");
    tenants.push(branch);
  }

  /** Everything that a branch was promised is still there, and is its parent at that point. */
  async compareBranches(actor: Actor, directory: string): Promise<void> {
    const { schedule, history, coverage, keys } = this.#world;
    const raw = this.#world.store.as(actor);
    const { signal } = new AbortController();
    const clock: Clock = {
      nowMs: () => schedule.nowMs,
      monotonicMs: () => schedule.nowMs,
      after: (delayMs, run) => schedule.at(actor, delayMs, "timer", run),
      soon: (run) => void schedule.at(actor, 0, "soon", run),
      random: () => 0.5,
    };
    const { randomBytes } = keys;
    const tenantKeys = new TenantKeys({ store: raw, clock, provider: keys.provider(actor), randomBytes });
    const store = encryptedStore(raw, tenantKeys);
    const ciphers = entryCiphers(tenantKeys);
    for (const { parent, branch, txid } of this.#pinned) {
      const encrypted = history.seals.isEncrypted(parent);
      const origin: Origin = { tenant: parent, encrypted, databases: { [DATA_DB]: txid } };
      const path = join(directory, "branch.db");
      const lease = await tenantKeys.open({ tenant: branch, encrypted, virgin: false, origin }, signal);
      try {
        const found = await originSteps(store, branch, origin, signal);
        const source = {
          store,
          clock,
          signal,
          work: inlineWork,
          open: ciphers.open.bind(ciphers),
        };
        await writePoint(source, found.get(DATA_DB)?.steps ?? [], path);
      } catch (error) {
        throw new Violation(
          `branch ${branch} of ${parent} at TXID ${txid} cannot be read: ${(error as Error).message}`,
        );
      } finally {
        lease.close();
      }
      coverage.add("branches compared");
      history.checkImage(parent, DATA_DB, txid, readFileSync(path), `branch ${branch}`);
    }
  }
}
