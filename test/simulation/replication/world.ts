import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Epoch, Incarnation, TenantId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { logKey, ltxPrefix } from "../../../shared/objects/layout.ts";
import { DATA_DB } from "../../../shared/ids.ts";
import type { Positions } from "../../../shared/protocol/internal.ts";
import { createTenant } from "../../../control/domain/create-tenant.ts";
import { sealKey } from "../../../control/domain/keys.ts";
import { Random } from "../random.ts";
import type { Coverage } from "./coverage.ts";
import { Expectations, IMPORT_STEP } from "./expectations.ts";
import { Actor, Schedule } from "./schedule.ts";
import { SimulatedClient } from "./sim-client.ts";
import { SimulatedControl } from "./sim-control.ts";
import { SimulatedStore } from "./sim-store.ts";
import { SimulatedWorker } from "./sim-worker.ts";
import { StoreHistory } from "./store-history.ts";
import { Violation, takeViolation } from "./violation.ts";

export const STEPS_MIN = 2_000;
export const FAULTS_MIN = 5;
const STEPS_MAX = 60_000;
const WORKERS = 3;
const CLIENTS = 4;
const HEAL_MS_MAX = 30_000;
const CONTROL_PATIENCE_MS = 250;

/** What a test of the simulator itself breaks outside of the product's code. */
export interface Defects {
  /** Whoever cleans up a dead worker's log takes the SEAL with it. */
  sealDeleted: boolean;
}

const FAULTS = [
  ["kill", 5],
  ["freeze", 5],
  ["leave", 1.5],
  ["killControl", 2],
  ["freezeControl", 2],
  ["outage", 1.5],
  ["cut", 2],
  ["move", 4],
  ["evict", 2],
  ["disturb", 1],
  ["hide", 3],
  ["blind", 1.5],
  ["beside", 2],
  ["compare", 6],
] as const;
type Fault = (typeof FAULTS)[number][0];
const HARMLESS: ReadonlySet<Fault> = new Set(["move", "evict", "compare"]);

/** Workers, control, clients and their object store under one seed's weather. */
export class World {
  readonly schedule = new Schedule();
  readonly random: Random;
  readonly coverage: Coverage;
  readonly store: SimulatedStore;
  readonly history: StoreHistory;
  readonly expectations: Expectations;
  readonly control: SimulatedControl;
  readonly tenants: TenantId[] = [];
  faults = 0;
  readonly #seed: number;
  readonly #defects: Defects;
  readonly #directory: string;
  readonly #workers: SimulatedWorker[] = [];
  readonly #clients: SimulatedClient[] = [];
  readonly #chaos = new Actor("chaos");
  readonly #network = new Actor("network");
  readonly #weights: [Fault, number][];
  /** Processes that do not reach control. */
  readonly #cut = new Set<Actor>();
  #stormy = true;
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
    this.history = new StoreHistory(() => this.store.objects, coverage);
    this.store = new SimulatedStore(this.schedule, random, coverage, this.history);
    this.expectations = new Expectations(coverage);
    const { schedule, store, history } = this;
    this.control = new SimulatedControl({
      schedule,
      random,
      coverage,
      store,
      history,
      askRelease: (from, incarnation, tenant, epoch) => this.#askRelease(from, incarnation, tenant, epoch),
    });
    // Storms that do much of one thing and little of another meet what even ones never do.
    this.#weights = FAULTS.map(([name, weight]) => [name, weight * 3 ** (random.next() * 2 - 1)]);
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
      this.#stormy = false;
      for (const worker of this.#workers) worker.kill();
      rmSync(this.#directory, { recursive: true, force: true });
    }
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
    return tenant === this.tenants[2];
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
    return this.#workers.find(
      (worker) => worker.incarnation === incarnation && worker.actor.state !== "dead",
    );
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
    const lost = this.#cut.has(from) || this.random.chance(this.#stormy ? 0.02 : 0);
    const to = leader === undefined || lost ? undefined : leader;
    const twice = this.#stormy && this.random.chance(0.02);
    return this.#message(
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
    return this.#message(from, patienceMs, what, find, false, true);
  }

  /** The process has ended by itself. */
  gone(worker: SimulatedWorker): void {
    worker.kill();
    this.#restart(worker, undefined);
  }

  #message<T>(
    from: Actor,
    patienceMs: number,
    what: string,
    find: () => { actor: Actor; work: () => T | Promise<T> } | undefined,
    twice: boolean,
    refusable = false,
  ): Promise<T> {
    const { schedule, random } = this;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const fail = (code: string): Error => Object.assign(new Error(`${what}: ${code}`), { code });
    const cancel = schedule.at(from, patienceMs, `gives up ${what}`, () => reject(fail("late")));
    const answer = (settle: () => void): void => {
      if (random.chance(this.#stormy ? 0.01 : 0)) return;
      schedule.at(from, 0.5 + random.next() * 3, `hears of ${what}`, () => {
        cancel();
        settle();
      });
    };
    for (let i = 0; i < (twice ? 2 : 1); i++) {
      const delayMs = 0.5 + random.next() * (random.chance(0.05) && this.#stormy ? 120 : 3);
      schedule.at(this.#network, delayMs, `brings ${what} of ${from.name}`, () => {
        const there = find();
        if (there === undefined) {
          if (refusable) answer(() => reject(fail("refused")));
          return;
        }
        schedule.at(there.actor, 0, `does ${what} for ${from.name}`, () => {
          const sent = (settle: () => void): void => {
            if (there.actor.state !== "dead") answer(settle);
          };
          void (async () => there.work())().then(
            (value) => sent(() => resolve(value)),
            (error: unknown) => sent(() => reject(error)),
          );
        });
      });
    }
    return promise;
  }

  #askRelease(from: Actor, incarnation: Incarnation, tenant: TenantId, epoch: Epoch): Promise<Positions> {
    return this.ask(from, 1_200, `release ${tenant}`, () => {
      const worker = this.workerOf(incarnation);
      return worker && { actor: worker.actor, work: async () => worker.release(incarnation, tenant, epoch) };
    });
  }

  #found(): void {
    for (const [i, letter] of ["a", "b", "c"].entries()) {
      const { domain } = this.control;
      const id = letter.repeat(15) as TenantId;
      domain.run(
        createTenant(domain.table, {
          meta: domain.meta(),
          id,
          slug: `tenant-${letter}` as never,
          durability: i === 2 ? "async" : "durable",
        }),
      );
      this.tenants.push(id);
    }
    for (let i = 0; i < WORKERS; i++) this.#startWorker(join(this.#directory, `w${i}`), undefined);
    for (let i = 0; i < CLIENTS; i++) {
      const client = new SimulatedClient(this, `client${i}`);
      this.#clients.push(client);
      void this.#guarded(client.run());
    }
    this.#storm();
    this.#clean();
  }

  #step(): void {
    if (!this.schedule.step()) throw new Violation("nothing happens any more");
    const violation = takeViolation();
    if (violation !== undefined) throw violation;
    if (this.schedule.steps > STEPS_MAX) throw new Violation("it does not come to rest");
  }

  /** Of the simulation's own loops: they end only by a broken promise or a defect of their own. */
  async #guarded(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (!(error instanceof Violation)) this.#broken = error as Error;
    }
  }

  #broken: Error | undefined;

  #startWorker(directory: string, previous: Incarnation | undefined): void {
    const worker = new SimulatedWorker(this, `worker${++this.#processes}`, directory, previous);
    const at = this.#workers.findIndex(({ directory: other }) => other === directory);
    if (at >= 0) this.#workers[at] = worker;
    else this.#workers.push(worker);
    worker.start();
  }

  #restart(worker: SimulatedWorker, replaces: Incarnation | undefined): void {
    this.schedule.at(this.#chaos, 20 + this.random.next() * 500, `restarts ${worker.actor.name}`, () =>
      this.#startWorker(worker.directory, replaces),
    );
  }

  #storm(): void {
    this.schedule.at(this.#chaos, 15 + this.random.next() * 220, "weather", () => {
      if (!this.#stormy) return;
      let at = this.random.next() * this.#weights.reduce((sum, [, weight]) => sum + weight, 0);
      const [fault] = this.#weights.find(([, weight]) => (at -= weight) < 0) ?? this.#weights[0]!;
      if (this.#strike(fault)) {
        this.schedule.note(`*** ${fault}`);
        if (!HARMLESS.has(fault)) this.faults++;
      }
      this.#storm();
    });
  }

  /** @returns whether there was anything to strike */
  #strike(fault: Fault): boolean {
    const { random, coverage, control, store } = this;
    const up = this.#workers.filter(({ actor, session }) => actor.state === "up" && session !== undefined);
    const worker = up.length === 0 ? undefined : random.pick(up);
    const tenant = random.pick(this.tenants);
    const leader = control.actor;
    switch (fault) {
      case "kill": {
        if (worker === undefined) return false;
        const { incarnation } = worker;
        worker.kill();
        coverage.add("workers killed");
        this.#restart(worker, random.chance(0.5) ? incarnation : undefined);
        return true;
      }
      case "freeze":
        if (worker === undefined) return false;
        this.schedule.freeze(worker.actor);
        worker.frozenAs = worker.incarnation;
        coverage.add("workers frozen");
        this.#later(random.chance(0.5) ? 300 : 3_000, `thaws ${worker.actor.name}`, () =>
          this.schedule.thaw(worker.actor),
        );
        return true;
      case "leave":
        if (worker === undefined) return false;
        void this.#guarded(worker.leave());
        return true;
      case "killControl":
        if (leader === undefined || leader.state !== "up") return false;
        if (control.depose() > 0) coverage.add("sealers killed");
        this.schedule.kill(leader);
        coverage.add("control leaders killed");
        this.#later(300, "elects", () => control.elect());
        return true;
      case "freezeControl":
        if (leader === undefined || leader.state !== "up") return false;
        this.schedule.freeze(leader);
        coverage.add("control leaders frozen");
        this.#later(300, "elects", () => {
          if (control.actor !== leader) return;
          control.depose();
          control.elect();
          this.#later(1_500, `thaws ${leader.name}`, () => this.schedule.thaw(leader));
        });
        return true;
      case "outage":
        if (store.climate.outage) return false;
        store.climate.outage = true;
        coverage.add("outages");
        this.#later(900, "the store is back", () => (store.climate.outage = false));
        return true;
      case "cut":
        if (worker === undefined) return false;
        this.#cut.add(worker.actor);
        this.#later(900, `joins ${worker.actor.name}`, () => this.#cut.delete(worker.actor));
        return true;
      case "move":
        if (worker?.incarnation === undefined) return false;
        control.transfer(tenant, worker.incarnation);
        return true;
      case "evict":
        control.transfer(tenant, undefined);
        return true;
      case "disturb":
        worker?.checkpointBeside();
        return worker !== undefined;
      case "hide":
        return this.#hide(tenant);
      case "blind": {
        // Where control does not know of any content, an empty listing is what a new tenant looks like.
        if (worker === undefined || this.tenants.some((id) => control.tenant(id).virgin)) return false;
        store.blind.add(worker.actor.name);
        control.transfer(tenant, worker.incarnation);
        this.#later(900, `${worker.actor.name} sees again`, () => store.blind.delete(worker.actor.name));
        return true;
      }
      case "beside": {
        const ended = [...control.domain.table.workers()].filter(
          ({ state }) => state !== "live" && state !== "draining",
        );
        if (ended.length === 0) return false;
        control.sealBeside(random.pick(ended).incarnation, new Actor(`sealer${this.schedule.steps}`));
        return true;
      }
      case "compare":
        if (worker !== undefined) void this.#guarded(worker.compareImage());
        return worker !== undefined;
    }
  }

  /** An object that control knows to be there is not found for a while, and the tenant must be loaded. */
  #hide(tenant: TenantId): boolean {
    const base = this.control.tenant(tenant).base[DATA_DB]?.txid ?? 0;
    const known = this.store
      .keys(ltxPrefix(tenant, DATA_DB))
      .filter((key) => Number.parseInt(/-([0-9a-f]{16})\.ltx$/.exec(key)?.[1] ?? "", 16) <= base);
    if (known.length === 0) return false;
    const key = this.random.pick(known);
    this.store.hidden.add(key);
    this.store.everHidden.add(key);
    this.coverage.add("objects hidden");
    this.control.transfer(tenant, undefined);
    this.#later(1_200, `${key} is back`, () => this.store.hidden.delete(key));
    return true;
  }

  #later(msMax: number, label: string, run: () => void): void {
    this.schedule.at(this.#chaos, 20 + this.random.next() * msMax, label, run);
  }

  /** Log objects that nobody needs go: below the low watermark of a live log, and of a dead one when nothing names it. */
  #clean(): void {
    this.schedule.at(this.#chaos, 150, "cleans up", () => {
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
        for (const key of removable) this.#later(200, `deletes ${key}`, () => this.store.remove(key));
      }
      this.#clean();
    });
  }

  /** The last fault is over: everyone is served again, and everything that was shown is there. */
  #heal(): void {
    const { schedule, store, control } = this;
    schedule.note("*** calm");
    this.#stormy = false;
    store.climate = { failure: 0, lostAnswer: 0, lateEffect: 0, duplicate: 0, slow: 0, outage: false };
    store.hidden.clear();
    store.blind.clear();
    this.#cut.clear();
    for (const { actor } of this.#workers) schedule.thaw(actor);
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
    this.#until(this.#release(), "a tenant is not released");
    this.#until(serveAll(), "a tenant is not served from its prefix alone");
    for (const tenant of this.tenants) this.#final(tenant);
  }

  async #release(): Promise<void> {
    for (const tenant of this.tenants) {
      while (this.control.tenant(tenant).owner !== undefined) {
        // A dead owner releases nothing: first somebody takes it over.
        this.control.resolve(tenant, undefined);
        this.control.transfer(tenant, undefined);
        await this.sleep(this.#chaos, 20);
      }
    }
  }

  #until(work: Promise<unknown>, complaint: string): void {
    let done = false;
    void this.#guarded(work).then(() => (done = true));
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
