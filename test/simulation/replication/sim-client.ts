import type { Incarnation, TenantId } from "../../../shared/ids.ts";
import { OPERATIONS, type Operation } from "./operations.ts";
import { Actor } from "./schedule.ts";
import type { Route } from "./sim-control.ts";
import { Violation } from "./violation.ts";
import type { World } from "./world.ts";

const PATIENCE_MS = 900;
const THINK_MS_MAX = 14;
const REFUSED_MS = 20;

/** One user, one request after the other, by the routes that control gives. */
export class SimulatedClient {
  readonly actor: Actor;
  stopped = false;
  /** It was refused for want of a data key. */
  unkeyed = false;
  readonly #world: World;
  readonly #routes = new Map<TenantId, Route>();
  /** The newest row that it was shown. */
  readonly #newest = new Map<TenantId, number>();

  constructor(world: World, name: string) {
    this.#world = world;
    this.actor = new Actor(name);
  }

  async run(): Promise<void> {
    const { random } = this.#world;
    while (!this.stopped) {
      const tenant = random.pick(this.#world.tenants);
      await this.request(tenant, pickOperation(random.next()));
      await this.#world.sleep(this.actor, random.next() * THINK_MS_MAX);
    }
  }

  /** @returns whether it was answered */
  async request(tenant: TenantId, operation: Operation): Promise<boolean> {
    const world = this.#world;
    const route = this.#routes.get(tenant) ?? (await this.#resolve(tenant, undefined));
    if (route === undefined) {
      await world.sleep(this.actor, REFUSED_MS);
      return false;
    }
    const op = world.newOp();
    const before = this.#newest.get(tenant) ?? 0;
    try {
      const answer = await world.ask(this.actor, PATIENCE_MS, `${operation} ${op}`, () => {
        const worker = world.workerOf(route.incarnation);
        if (worker === undefined) return undefined;
        return { actor: worker.actor, work: () => worker.serve(tenant, route.epoch, operation, op) };
      });
      const { id } = answer.state;
      if (!world.isAsync(tenant)) {
        if (id < before) {
          throw new Violation(`${this.actor.name} was shown row ${before} of ${tenant}, and then only ${id}`);
        }
        this.#newest.set(tenant, id);
      }
      if (!answer.wrote) world.coverage.add("reads answered");
      return true;
    } catch (error) {
      if (error instanceof Violation) throw error;
      const { code } = error as { code?: unknown };
      world.note(`${this.actor.name} hears: ${(error as Error).message}`);
      if (code === "commit_unknown" || code === "late") world.coverage.add("writes of unknown fate");
      if (code === "store_unavailable") world.coverage.add("writes refused");
      if (
        world.store.hidden.size + world.store.blind.size > 0 &&
        (code === "chain_gap" || code === "tenant_missing" || code === "log_corrupt")
      )
        world.coverage.add("loads refused for a hole");
      if (code === "data_key_missing") this.#unkeyed(tenant);
      // What a client does when it is refused: it asks where the tenant is now, and says whom it could not find.
      this.#routes.delete(tenant);
      if (code === "refused") await this.#resolve(tenant, route.incarnation);
      await world.sleep(this.actor, REFUSED_MS);
      return false;
    }
  }

  #unkeyed(tenant: TenantId): void {
    const { store, coverage, control } = this.#world;
    this.unkeyed = true;
    // A branch reads what its parent has.
    const { origin } = control.tenant(tenant);
    if (store.unkeyed.has(tenant) || store.unkeyed.has(origin?.tenant as TenantId))
      coverage.add("loads refused for a lost key");
    else if (!store.wasBlind) throw new Violation(`${tenant} has lost its data key by itself`);
  }

  async #resolve(tenant: TenantId, failed: Incarnation | undefined): Promise<Route | undefined> {
    const world = this.#world;
    const gone = failed !== undefined && world.workerOf(failed) === undefined ? failed : undefined;
    try {
      const route = await world.tellControl(this.actor, "resolve", (control) =>
        control.resolve(tenant, gone),
      );
      if (route !== undefined) this.#routes.set(tenant, route);
      return route;
    } catch {
      return undefined;
    }
  }
}

function pickOperation(dice: number): Operation {
  let at = dice * OPERATIONS.reduce((sum, [, weight]) => sum + weight, 0);
  return OPERATIONS.find(([, weight]) => (at -= weight) < 0)?.[0] ?? "write";
}
