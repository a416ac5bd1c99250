import type { Logger } from "pino";
import type { Incarnation } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../clock.ts";
import type { Loads, WorkerLoad } from "../domain/place.ts";
import type { Table } from "../domain/table.ts";
import { type Wanted, wantedWorkers } from "./wanted-workers.ts";

export interface ScaleWatchParts {
  table: Table;
  loads: Loads;
  clock: Clock;
  fetch: typeof fetch;
  log: Logger;
  scaleWebhook?: { url: string; token?: string };
}

/** Weight of the newest measurement: a burst of seconds calls for no machine. */
const NEWEST = 0.1;

/** Keeps the wanted-workers figure current on the leader, and tells a webhook when it has changed and stayed so. */
export class ScaleWatch {
  readonly #parts: ScaleWatchParts;
  readonly #busy = new Map<Incarnation, number>();
  #current: Wanted | undefined;
  #told: number | undefined;

  constructor(parts: ScaleWatchParts) {
    this.#parts = parts;
  }

  /** Undefined where this replica does not lead. */
  get current(): Wanted | undefined {
    return this.#current;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    try {
      while (!signal.aborted) {
        await this.check(signal);
        await clock.sleep(limits.scaleCheckMs, signal).catch(() => undefined);
      }
    } finally {
      this.#current = undefined;
      this.#busy.clear();
    }
  }

  /** One measurement. */
  async check(signal: AbortSignal): Promise<void> {
    const { table, scaleWebhook } = this.#parts;
    const before = this.#current?.workers;
    this.#current = wantedWorkers(table, (incarnation) => this.#smoothed(incarnation));
    const { workers } = this.#current;
    const steady = before === workers && this.#told !== workers;
    if (scaleWebhook !== undefined && steady) await this.#tell(scaleWebhook, this.#current, signal);
  }

  async #tell(webhook: { url: string; token?: string }, wanted: Wanted, signal: AbortSignal): Promise<void> {
    const { table, clock, fetch: send, log } = this.#parts;
    const live = [...table.workers()].filter(({ state }) => state === "live").length;
    const at = new Date(clock.nowMs()).toISOString();
    const body = JSON.stringify({
      event: "workers.wanted",
      wanted: wanted.workers,
      reason: wanted.reason,
      live,
      at,
    });
    let problem: unknown;
    for (let attempt = 0; attempt < limits.scaleWebhookAttemptsMax && !signal.aborted; attempt++) {
      try {
        const response = await send(webhook.url, {
          method: "POST",
          headers: {
            "content-type": "application/json",
            ...(webhook.token === undefined ? {} : { authorization: `Bearer ${webhook.token}` }),
          },
          body,
          signal: AbortSignal.any([signal, AbortSignal.timeout(limits.scaleWebhookMs)]),
        });
        await response.body?.cancel();
        if (response.ok) {
          this.#told = wanted.workers;
          return;
        }
        problem = `HTTP ${response.status}`;
      } catch (error) {
        problem = error;
      }
      await clock.sleep(limits.controlRetryMsMax, signal).catch(() => undefined);
    }
    if (!signal.aborted)
      log.warn({ problem: String(problem) }, "cannot tell the webhook how many workers are wanted");
  }

  #smoothed(incarnation: Incarnation): WorkerLoad | undefined {
    const load = this.#parts.loads(incarnation);
    if (load?.busyRatio === undefined) return load;
    const known = this.#busy.get(incarnation) ?? 0;
    const busyRatio = known + (load.busyRatio - known) * NEWEST;
    this.#busy.set(incarnation, busyRatio);
    return { ...load, busyRatio };
  }
}
