import { UserError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Route } from "../../shared/protocol/internal.ts";
import { thawTenant } from "../domain/archive-tenant.ts";
import { tenantKey } from "../domain/keys.ts";
import { routeOf } from "../domain/route.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";

export interface ThawOnRequestParts {
  table: Table;
  runner: Runner;
  /** Operators may switch it off: fetching costs money, and robots ask too. */
  thawOnRequest: boolean;
}

/** A gateway that asks for an archived tenant's route has a request for it: the first one starts the thaw. On any replica. */
export class ThawOnRequest {
  readonly #parts: ThawOnRequestParts;
  readonly #running = new Map<TenantId, Promise<void>>();

  constructor(parts: ThawOnRequestParts) {
    this.#parts = parts;
  }

  /**
   * The route as it is after that: `thawing`, or as given when there is nothing to thaw, nobody may use the tenant anyway, or too many
   * thaws are being begun (the next request asks again).
   *
   * @throws as `Runner.run`
   */
  async begin(route: Route): Promise<Route> {
    const { table, thawOnRequest } = this.#parts;
    const frozen = route.state === "archived" && route.thawing !== true;
    if (!frozen || !thawOnRequest || route.suspended) return route;
    const running = this.#running.get(route.tenant) ?? this.#start(route.tenant);
    if (running === undefined) return route;
    await running;
    const tenant = table.get(tenantKey(route.tenant));
    return tenant === undefined ? route : routeOf(table, tenant);
  }

  /** All who ask for one tenant at a time share the transaction. */
  #start(id: TenantId): Promise<void> | undefined {
    if (this.#running.size >= limits.thawsBegunMax) return undefined;
    const running = this.#thaw(id).finally(() => this.#running.delete(id));
    this.#running.set(id, running);
    return running;
  }

  async #thaw(id: TenantId): Promise<void> {
    const { runner } = this.#parts;
    const meta = runner.meta("gateway");
    try {
      await runner.run((view) => thawTenant(view, meta, id));
    } catch (error) {
      // Thawed or deleted meanwhile: the route says which.
      if (!(error instanceof UserError)) throw error;
    }
  }
}
