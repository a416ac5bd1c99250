import { DATA_DB, type TenantId } from "../../../shared/ids.ts";
import { dataKeyKey, ltxPrefix } from "../../../shared/objects/layout.ts";
import { Actor } from "./schedule.ts";
import { SimulatedClient } from "./sim-client.ts";
import { LATE_MS_MAX } from "./sim-store.ts";
import type { SimulatedWorker } from "./sim-worker.ts";
import type { World } from "./world.ts";

const DISTURB_TRIES = 40;
const DISTURB_EVERY_MS = 3;
const KEY_AGE_MS_MIN = LATE_MS_MAX + 500;

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
  ["disturb", 1.5],
  ["hide", 3],
  ["blind", 1.5],
  ["beside", 2],
  ["loseKey", 3],
  ["compare", 6],
] as const;
type Fault = (typeof FAULTS)[number][0];
const HARMLESS: ReadonlySet<Fault> = new Set(["move", "evict", "compare"]);

/** Strikes a world, one fault after the other. */
export class Weather {
  faults = 0;
  readonly #world: World;
  readonly #weights: [Fault, number][];
  #over = false;
  readonly #visitor: SimulatedClient;

  constructor(world: World) {
    this.#world = world;
    this.#visitor = new SimulatedClient(world, "visitor");
    // Storms that do much of one thing and little of another meet what even ones never do.
    this.#weights = FAULTS.map(([name, weight]) => [name, weight * 3 ** (world.random.next() * 2 - 1)]);
  }

  /** What has begun ends by itself. */
  end(): void {
    this.#over = true;
  }

  /** The next fault, and all after it. */
  begin(): void {
    this.#world.schedule.at(this.#world.chaos, 15 + this.#world.random.next() * 220, "weather", () => {
      if (this.#over) return;
      let at = this.#world.random.next() * this.#weights.reduce((sum, [, weight]) => sum + weight, 0);
      const [fault] = this.#weights.find(([, weight]) => (at -= weight) < 0) ?? this.#weights[0]!;
      if (this.#strike(fault)) {
        this.#world.schedule.note(`*** ${fault}`);
        if (!HARMLESS.has(fault)) this.faults++;
      }
      this.begin();
    });
  }

  /** @returns whether there was anything to strike */
  #strike(fault: Fault): boolean {
    const { random, coverage, control, store } = this.#world;
    const up = this.#world.workers.filter(
      ({ actor, session }) => actor.state === "up" && session !== undefined,
    );
    const worker = up.length === 0 ? undefined : random.pick(up);
    const tenant = random.pick(this.#world.tenants);
    const leader = control.actor;
    switch (fault) {
      case "kill": {
        if (worker === undefined) return false;
        const { incarnation } = worker;
        worker.kill();
        coverage.add("workers killed");
        this.#world.restart(worker, random.chance(0.5) ? incarnation : undefined);
        return true;
      }
      case "freeze":
        if (worker === undefined) return false;
        this.#world.schedule.freeze(worker.actor);
        worker.frozenAs = worker.incarnation;
        coverage.add("workers frozen");
        this.#world.later(random.chance(0.5) ? 300 : 3_000, `thaws ${worker.actor.name}`, () =>
          this.#world.schedule.thaw(worker.actor),
        );
        return true;
      case "leave":
        if (worker === undefined) return false;
        void this.#world.guarded(worker.leave());
        return true;
      case "killControl":
        if (leader === undefined || leader.state !== "up") return false;
        if (control.depose() > 0) coverage.add("sealers killed");
        this.#world.schedule.kill(leader);
        coverage.add("control leaders killed");
        this.#world.later(300, "elects", () => control.elect());
        return true;
      case "freezeControl":
        if (leader === undefined || leader.state !== "up") return false;
        this.#world.schedule.freeze(leader);
        coverage.add("control leaders frozen");
        this.#world.later(300, "elects", () => {
          if (control.actor !== leader) return;
          control.depose();
          control.elect();
          this.#world.later(1_500, `thaws ${leader.name}`, () => this.#world.schedule.thaw(leader));
        });
        return true;
      case "outage":
        if (store.climate.outage) return false;
        store.climate.outage = true;
        coverage.add("outages");
        this.#world.later(900, "the store is back", () => (store.climate.outage = false));
        return true;
      case "cut":
        if (worker === undefined) return false;
        this.#world.cut.add(worker.actor);
        this.#world.later(900, `joins ${worker.actor.name}`, () => this.#world.cut.delete(worker.actor));
        return true;
      case "move":
        if (worker?.incarnation === undefined) return false;
        control.transfer(tenant, worker.incarnation);
        return true;
      case "evict":
        control.transfer(tenant, undefined);
        return true;
      case "disturb":
        if (worker !== undefined) this.#disturb(worker, DISTURB_TRIES);
        return worker !== undefined;
      case "hide":
        return this.#hide(tenant);
      case "blind": {
        // Where control does not know of any content, an empty listing is what a new tenant looks like.
        if (worker === undefined || this.#world.tenants.some((id) => control.tenant(id).virgin)) return false;
        store.blind.add(worker.actor.name);
        store.wasBlind = true;
        control.transfer(tenant, worker.incarnation);
        this.#world.later(900, `${worker.actor.name} sees again`, () =>
          store.blind.delete(worker.actor.name),
        );
        return true;
      }
      case "loseKey":
        return this.#loseKey(tenant);
      case "beside": {
        const ended = [...control.domain.table.workers()].filter(
          ({ state }) => state !== "live" && state !== "draining",
        );
        if (ended.length === 0) return false;
        control.sealBeside(random.pick(ended).incarnation, new Actor(`sealer${this.#world.schedule.steps}`));
        return true;
      }
      case "compare":
        if (worker !== undefined) void this.#world.guarded(worker.compareImage());
        return worker !== undefined;
    }
  }

  /** It hurts most between a commit and its capture. */
  #disturb(worker: SimulatedWorker, tries: number): void {
    if (this.#over || worker.actor.state !== "up") return;
    const disturbed = worker.checkpointBeside(tries === 0);
    if (disturbed !== undefined) {
      // What comes next begins the WAL anew, at best before the last commit was captured.
      void this.#world.guarded(this.#visitor.request(disturbed, "write"));
      for (let i = 0; i < 3; i++)
        this.#world.later(150, "compares", () => void this.#world.guarded(worker.compareImage()));
      return;
    }
    if (tries === 0) return;
    this.#world.schedule.at(this.#world.chaos, DISTURB_EVERY_MS, `looks at ${worker.actor.name}`, () =>
      this.#disturb(worker, tries - 1),
    );
  }

  /** The tenant's wrapped key is gone for a while, and it must be loaded. */
  #loseKey(tenant: TenantId): boolean {
    const { store, history, schedule, coverage, control } = this.#world;
    const key = dataKeyKey(tenant, 1);
    const bytes = store.objects.get(key);
    // What is still under way of its creation must not bring back another one.
    const isOld = schedule.nowMs - (history.seals.learnedMs.get(tenant) ?? Infinity) > KEY_AGE_MS_MIN;
    if (bytes === undefined || !isOld || !history.hasContent(tenant)) return false;
    store.remove(key);
    store.unkeyed.add(tenant);
    coverage.add("keys lost");
    control.transfer(tenant, undefined);
    this.#world.later(900, `${key} is back`, () => store.putBack(key, bytes));
    return true;
  }

  /** An object that control knows to be there is not found for a while, and the tenant must be loaded. */
  #hide(tenant: TenantId): boolean {
    const base = this.#world.control.tenant(tenant).base[DATA_DB]?.txid ?? 0;
    const known = this.#world.store
      .keys(ltxPrefix(tenant, DATA_DB))
      .filter((key) => Number.parseInt(/-([0-9a-f]{16})\.ltxe?$/.exec(key)?.[1] ?? "", 16) <= base);
    if (known.length === 0) return false;
    const key = this.#world.random.pick(known);
    this.#world.store.hidden.add(key);
    this.#world.store.everHidden.add(key);
    this.#world.coverage.add("objects hidden");
    this.#world.control.transfer(tenant, undefined);
    this.#world.later(1_200, `${key} is back`, () => this.#world.store.hidden.delete(key));
    return true;
  }
}
