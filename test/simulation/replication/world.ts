import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Epoch, Incarnation, TenantId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { dataKeysPrefix, logKey } from "../../../shared/objects/layout.ts";
import type { ReleaseResponse } from "../../../shared/protocol/internal.ts";
import { createTenant } from "../../../control/domain/create-tenant.ts";
import { sealKey } from "../../../control/domain/keys.ts";
import { Random } from "../random.ts";
import type { Coverage } from "./coverage.ts";
import { Expectations, IMPORT_STEP } from "./expectations.ts";
import { Messages } from "./messages.ts";
import { Actor, Schedule } from "./schedule.ts";
import { SimulatedClient } from "./sim-client.ts";
import { SimulatedPoints } from "./sim-points.ts";
import { SimulatedControl } from "./sim-control.ts";
import { SimulatedKeys } from "./sim-keys.ts";
import { LATE_MS_MAX, SimulatedStore } from "./sim-store.ts";
import { SimulatedWorker } from "./sim-worker.ts";
import { StoreHistory } from "./store-history.ts";
import { Violation, takeViolation } from "./violation.ts";
import { Weather } from "./weather.ts";

export const STEPS_MIN = 2_000;
export const FAULTS_MIN = 5;
const STEPS_MAX = 60_000;
const WORKERS = 3;
const CLIENTS = 4;
const HEAL_MS_MAX = 30_000;
const CONTROL_PATIENCE_MS = 250;
/** Seeds that end with it: it takes long. */
const SHRED_EVERY = 4;

/** What a test of the simulator itself breaks outside of the product's code. */
export interface Defects {
  /** Whoever cleans up a dead worker's log takes the SEAL with it. */
  sealDeleted: boolean;
}

/** Workers, control, clients and their object store under one seed's weather. */
export class World {
  readonly schedule = new Schedule();
  readonly random: Random;
  readonly coverage: Coverage;
  readonly store: SimulatedStore;
  readonly history: StoreHistory;
  readonly expectations: Expectations;
  readonly points: SimulatedPoints;
  readonly keys: SimulatedKeys;
  readonly control: SimulatedControl;
  readonly tenants: TenantId[] = [];
  readonly #seed: number;
  readonly #defects: Defects;
  readonly #directory: string;
  readonly workers: SimulatedWorker[] = [];
  readonly #clients: SimulatedClient[] = [];
  /** Whatever happens to processes, and what goes on beside them. */
  readonly chaos = new Actor("chaos");
  readonly #messages: Messages;
  readonly #weather: Weather;
  /** Processes that do not reach control. */
  readonly cut = new Set<Actor>();
  #ops = 0;
  #nonces = 0;
  #processes = 0;

  constructor(seed: number, coverage: Coverage, directory: string, defects: Defects) {
    this.#seed = seed;
    this.coverage = coverage;
    this.#defects = defects;
    this.#directory = mkdtempSync(join(directory, `seed-${seed}-`));
    const random = new Random(seed * 2_654_435_761);
    this.random = random;
    this.keys = new SimulatedKeys(seed, random, coverage, (actor, ms) => this.sleep(actor, ms));
    this.history = new StoreHistory(
      () => this.store.objects,
      coverage,
      () => this.schedule.nowMs,
    );
    this.store = new SimulatedStore(this.schedule, random, coverage, this.history);
    this.expectations = new Expectations(coverage);
    const { schedule, store, history } = this;
    this.points = new SimulatedPoints(this);
    this.control = new SimulatedControl({
      schedule,
      random,
      coverage,
      store,
      history,
      askRelease: (from, incarnation, tenant, epoch) => this.#askRelease(from, incarnation, tenant, epoch),
    });
    this.#messages = new Messages(this.schedule, random);
    this.#weather = new Weather(this);
    const rate = (most: number): number => (random.chance(0.3) ? 0 : random.next() * most);
    this.store.climate = {
      failure: rate(0.04),
      lostAnswer: rate(0.06),
      lateEffect: rate(0.05),
      duplicate: rate(0.05),
      slow: rate(0.12),
      outage: false,
    };
  }

  /** Until the storm is over and everything is well again. @throws Violation, or what else went wrong */
  run(): void {
    takeViolation();
    try {
      this.#found();
      while (this.schedule.steps < STEPS_MIN || this.faults < FAULTS_MIN) this.#step();
      this.#heal();
    } finally {
      this.#weather.end();
      for (const worker of this.workers) worker.kill();
      rmSync(this.#directory, { recursive: true, force: true });
    }
  }

  get faults(): number {
    return this.#weather.faults;
  }

  newNonce(): string {
    return (++this.#nonces)
      .toString(16)
      .padStart(8, "0")
      .padStart(32, this.#seed.toString(16).padStart(8, "0"));
  }

  newOp(): number {
    return ++this.#ops;
  }

  isAsync(tenant: TenantId): boolean {
    return this.control.tenant(tenant).durability === "async";
  }

  /** Into the trace, without what differs from run to run. */
  note(text: string): void {
    this.schedule.note(text.replaceAll(this.#directory, ""));
  }

  /** What control knows, for whoever reads a failure. */
  records(): string[] {
    return this.tenants.map((id) => JSON.stringify(this.control.tenant(id)));
  }

  mayImport(tenant: TenantId): boolean {
    return tenant === this.tenants[1];
  }

  workerOf(incarnation: Incarnation): SimulatedWorker | undefined {
    return this.workers.find((worker) => worker.incarnation === incarnation && worker.actor.state !== "dead");
  }

  sleep(actor: Actor, ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.schedule.at(actor, ms, "sleeps", resolve);
    });
  }

  /** A message to whoever leads, and the answer; either may be lost, the message may come twice. */
  tellControl<T>(from: Actor, what: string, call: (control: SimulatedControl) => T): Promise<T> {
    const leader = this.control.actor;
    const say = (): T => {
      if (this.control.actor !== leader) throw new Error("not the leader any more");
      return call(this.control);
    };
    const lost = this.cut.has(from) || this.random.chance(this.#messages.faulty ? 0.02 : 0);
    const to = leader === undefined || lost ? undefined : leader;
    const twice = this.#messages.faulty && this.random.chance(0.02);
    return this.#messages.send(
      from,
      CONTROL_PATIENCE_MS,
      what,
      () => to && { actor: to, work: () => structuredClone(say()) },
      twice,
    );
  }

  /** A request to a process; `find` looks where it is when the message arrives. */
  ask<T>(
    from: Actor,
    patienceMs: number,
    what: string,
    find: () => { actor: Actor; work: () => Promise<T> } | undefined,
  ): Promise<T> {
    return this.#messages.send(from, patienceMs, what, find, false, true);
  }

  /** The process has ended by itself. */
  gone(worker: SimulatedWorker): void {
    worker.kill();
    this.restart(worker, undefined);
  }

  #askRelease(
    from: Actor,
    incarnation: Incarnation,
    tenant: TenantId,
    epoch: Epoch,
  ): Promise<ReleaseResponse> {
    return this.ask(from, 1_200, `release ${tenant}`, () => {
      const worker = this.workerOf(incarnation);
      return worker && { actor: worker.actor, work: async () => worker.release(incarnation, tenant, epoch) };
    });
  }

  #found(): void {
    for (const [i, letter] of ["a", "b", "c"].entries()) {
      const { domain } = this.control;
      const id = letter.repeat(15) as TenantId;
      // One of each seed is, whichever comes.
      const encrypted = i === this.#seed % 3 || this.random.chance(0.25);
      domain.run(
        createTenant(domain.table, {
          meta: domain.meta(),
          id,
          slug: `tenant-${letter}` as never,
          durability: i === 2 ? "async" : "durable",
          encrypted,
        }),
      );
      this.history.seals.declare(id, encrypted);
      this.tenants.push(id);
    }
    for (let i = 0; i < WORKERS; i++) this.#startWorker(join(this.#directory, `w${i}`), undefined);
    for (let i = 0; i < CLIENTS; i++) {
      const client = new SimulatedClient(this, `client${i}`);
      this.#clients.push(client);
      void this.guarded(client.run());
    }
    this.#weather.begin();
    this.#clean();
  }

  #step(): void {
    if (!this.schedule.step()) throw new Violation("nothing happens any more");
    const violation = takeViolation();
    if (violation !== undefined) throw violation;
    if (this.schedule.steps > STEPS_MAX) throw new Violation("it does not come to rest");
  }

  /** Of the simulation's own loops: they end only by a broken promise or a defect of their own. */
  async guarded(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (!(error instanceof Violation)) this.#broken = error as Error;
    }
  }

  #broken: Error | undefined;

  #startWorker(directory: string, previous: Incarnation | undefined): void {
    const worker = new SimulatedWorker(this, `worker${++this.#processes}`, directory, previous);
    const at = this.workers.findIndex(({ directory: other }) => other === directory);
    if (at >= 0) this.workers[at] = worker;
    else this.workers.push(worker);
    worker.start();
  }

  restart(worker: SimulatedWorker, replaces: Incarnation | undefined): void {
    this.schedule.at(this.chaos, 20 + this.random.next() * 500, `restarts ${worker.actor.name}`, () =>
      this.#startWorker(worker.directory, replaces),
    );
  }

  /** Within `msMax`, in the world's own time. */
  later(msMax: number, label: string, run: () => void): void {
    this.schedule.at(this.chaos, 20 + this.random.next() * msMax, label, run);
  }

  /** Log objects that nobody needs go: below the low watermark of a live log, and of a dead one when nothing names it. */
  #clean(): void {
    this.schedule.at(this.chaos, 150, "cleans up", () => {
      const { table } = this.control.domain;
      for (const { incarnation } of table.workers()) {
        const end = table.get(sealKey(incarnation))?.endSeq;
        const named = this.tenants.some((id) => {
          const { tails, owner } = this.control.tenant(id);
          return owner?.incarnation === incarnation || tails.some((tail) => tail.incarnation === incarnation);
        });
        // A sealer that knows nothing tells a short log from one that nobody has written to by what is left of it.
        const whole = end !== undefined && end <= limits.sealSlots;
        const first = end === undefined || named || whole ? this.history.lowWatermark(incarnation) : end;
        const keys = this.store.keys(
          logKey(incarnation, 0 as never).slice(0, -"0000000000000000.wlog".length),
        );
        const limit = logKey(incarnation, first as never);
        const removable = keys.filter(
          (key) => key < limit || (this.#defects.sealDeleted && end !== undefined && !named),
        );
        if (removable.length > 0 && end !== undefined && !named) {
          this.coverage.add("logs removed");
          this.history.forgotten(incarnation);
        }
        for (const key of removable) this.later(200, `deletes ${key}`, () => this.store.remove(key));
      }
      this.#clean();
    });
  }

  /** The last fault is over: everyone is served again, and everything that was shown is there. */
  #heal(): void {
    const { schedule, store, control } = this;
    schedule.note("*** calm");
    this.#weather.end();
    this.#messages.faulty = false;
    this.keys.faulty = false;
    store.climate = { failure: 0, lostAnswer: 0, lateEffect: 0, duplicate: 0, slow: 0, outage: false };
    store.hidden.clear();
    store.blind.clear();
    this.cut.clear();
    for (const { actor } of this.workers) schedule.thaw(actor);
    if (control.actor === undefined || control.actor.state === "frozen") {
      control.depose();
      control.elect();
    }
    for (const client of this.#clients) client.stopped = true;
    const last = new SimulatedClient(this, "last");
    const serveAll = async (): Promise<void> => {
      for (const tenant of this.tenants) {
        while (!(await last.request(tenant, "write")));
        while (!(await last.request(tenant, "read")));
      }
    };
    this.#until(serveAll(), "a tenant is not served");
    this.#until(this.#release(this.tenants), "a tenant is not released");
    this.#until(serveAll(), "a tenant is not served from its prefix alone");
    for (const tenant of this.tenants) this.#final(tenant);
    this.#until(this.points.compareBranches(this.chaos, this.#directory), "a branch cannot be read");
    if (this.#seed % SHRED_EVERY === 0) this.#until(this.#shred(), "a tenant without keys is not refused");
  }

  /** What is done last to a tenant that is deleted: first its keys go. From then on nobody reads it, and nothing is made for it. */
  async #shred(): Promise<void> {
    const { seals } = this.history;
    // A branch reads what its parent has.
    const tenant = this.tenants.findLast((id) => seals.isEncrypted(id)) as TenantId;
    await this.#release([tenant]);
    await this.sleep(this.chaos, LATE_MS_MAX);
    for (const key of this.store.keys(dataKeysPrefix(tenant))) this.store.remove(key);
    this.store.unkeyed.add(tenant);
    this.history.shredded(tenant);
    const visitor = new SimulatedClient(this, "visitor");
    while (!visitor.unkeyed) {
      if (await visitor.request(tenant, "read")) throw new Violation(`${tenant} is served without its keys`);
    }
    this.coverage.add("tenants shredded");
  }

  async #release(tenants: readonly TenantId[]): Promise<void> {
    for (const tenant of tenants) {
      while (this.control.tenant(tenant).owner !== undefined) {
        // A dead owner releases nothing: first somebody takes it over.
        this.control.resolve(tenant, undefined);
        this.control.transfer(tenant, undefined);
        await this.sleep(this.chaos, 20);
      }
    }
  }

  #until(work: Promise<unknown>, complaint: string): void {
    let done = false;
    void this.guarded(work).then(() => (done = true));
    const endMs = this.schedule.nowMs + HEAL_MS_MAX;
    while (!done) {
      this.#step();
      if (this.#broken !== undefined) throw this.#broken;
      if (this.schedule.nowMs > endMs)
        throw new Violation(`${complaint} ${HEAL_MS_MAX} ms after the last fault`);
    }
    if (this.#broken !== undefined) throw this.#broken;
  }

  #final(id: TenantId): void {
    const { owner } = this.control.tenant(id);
    const worker = owner === undefined ? undefined : this.workerOf(owner.incarnation);
    const tenant = worker?.session?.loaded.get(id);
    if (tenant === undefined) throw new Violation(`nobody has ${id} at the end`);
    const ops = tenant.data.read(tenant.observe(), (db) =>
      db.all<{ id: number; op: number }>("SELECT id, op FROM notes ORDER BY id"),
    );
    const imported = (ops[0]?.id ?? 0) >= IMPORT_STEP;
    this.expectations.finally(id, new Set(ops.map(({ op }) => op)), imported);
  }
}
