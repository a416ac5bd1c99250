import type { Logger } from "pino";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../clock.ts";
import { tenantKey } from "../domain/keys.ts";
import { type Loads, fullness, hasRoom } from "../domain/place.ts";
import type { WorkerRecord } from "../domain/records.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";
import { beginTransfer } from "../domain/transfer-tenant.ts";
import type { View } from "../domain/view.ts";
import type { WorkerClient } from "./worker-client.ts";

export interface RebalancerParts {
  table: Table;
  runner: Runner;
  workers: WorkerClient;
  loads: Loads;
  clock: Clock;
  log: Logger;
  /** 0: never. */
  movesPerMinute: number;
}

/** From where to where, and how many tenants even the two out. */
export interface Imbalance {
  from: WorkerRecord;
  to: WorkerRecord;
  tenants: number;
}

/**
 * The fullest and the emptiest live worker, when they are further apart than the threshold: `rebalanceSpreadMin` tenants and
 * `rebalanceSpreadRatio` of the mean.
 */
export function imbalance(view: View, loads: Loads): Imbalance | undefined {
  const live = [...view.workers()].filter(({ state }) => state === "live");
  const count = (worker: WorkerRecord): number => view.tenantsOf(worker.incarnation).size;
  const full = (worker: WorkerRecord): number => fullness(view, worker, loads(worker.incarnation));
  const [from] = live.toSorted((a, b) => full(b) - full(a) || a.incarnation - b.incarnation);
  const [to] = live
    .filter((worker) => worker !== from && hasRoom(view, worker, loads(worker.incarnation)))
    .toSorted((a, b) => full(a) - full(b) || a.incarnation - b.incarnation);
  if (from === undefined || to === undefined) return undefined;
  const mean = live.reduce((sum, worker) => sum + count(worker), 0) / live.length;
  const spread = count(from) - count(to);
  if (spread < Math.max(limits.rebalanceSpreadMin, mean * limits.rebalanceSpreadRatio)) return undefined;
  return { from, to, tenants: Math.floor(spread / 2) };
}

/** Evens workers out, slowly: at most so many moves a minute, those tenants first that were not used for longest. */
export class Rebalancer {
  readonly #parts: RebalancerParts;
  #movesMs: number[] = [];

  constructor(parts: RebalancerParts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, movesPerMinute } = this.#parts;
    if (movesPerMinute <= 0) return;
    while (!signal.aborted) {
      await clock.sleep(limits.rebalanceMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.sweep(signal);
      } catch (error) {
        if (!signal.aborted) log.warn({ error }, "cannot rebalance now");
      }
    }
  }

  /** @returns how many moves it began */
  async sweep(signal: AbortSignal): Promise<number> {
    const { table, runner, loads, clock, log, movesPerMinute } = this.#parts;
    const found = imbalance(table, loads);
    const nowMs = clock.monotonicMs();
    this.#movesMs = this.#movesMs.filter((at) => nowMs - at < 60_000);
    const allowed = Math.min(found?.tenants ?? 0, movesPerMinute - this.#movesMs.length);
    if (found === undefined || allowed <= 0) return 0;
    const { from, to } = found;
    const chosen = (await this.#leastUsed(from, to, signal)).slice(0, allowed);
    for (const id of chosen) {
      const meta = runner.meta("control");
      await runner.run(
        (view) => beginTransfer(view, { meta, id, to: to.incarnation, why: "rebalance" }),
        signal,
      );
      this.#movesMs.push(nowMs);
    }
    log.info({ from: from.incarnation, to: to.incarnation, tenants: chosen.length }, "rebalancing");
    return chosen.length;
  }

  /** What is not loaded has nothing to move but its record, and comes first. Nobody is moved out of the region where it belongs. */
  async #leastUsed(from: WorkerRecord, to: WorkerRecord, signal: AbortSignal): Promise<TenantId[]> {
    const { table, workers } = this.#parts;
    const listed = await workers.tenants(from, signal);
    const idleMs = new Map(listed.map(({ tenant, idleMs }) => [tenant, idleMs]));
    const idle = (id: TenantId): number => idleMs.get(id) ?? Number.MAX_SAFE_INTEGER;
    const stays = (region: string | undefined): boolean =>
      region !== undefined && region === from.region && region !== to.region;
    return [...table.tenantsOf(from.incarnation)]
      .filter((id) => {
        const tenant = table.get(tenantKey(id));
        return tenant?.transfer === undefined && !stays(tenant?.region);
      })
      .toSorted((a, b) => idle(b) - idle(a));
  }
}
