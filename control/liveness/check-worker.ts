import type { Incarnation } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../clock.ts";
import { workerKey } from "../domain/keys.ts";
import type { Table } from "../domain/table.ts";
import { serves } from "../domain/worker-states.ts";
import type { Leases } from "./leases.ts";
import type { Patrol } from "./patrol.ts";

export interface CheckParts {
  table: Table;
  leases: Leases;
  patrol: Patrol;
  clock: Clock;
  fetch: typeof fetch;
}

/** What control itself saw: it answers as this incarnation, nothing listens there (or another does), or no answer in time. */
type Sight = "answers" | "gone" | "silent";

const POLL_MS = 20;

/**
 * Looks at a worker sooner than its lease would, because somebody could not reach it. What others say kills nobody: only a
 * worker whose address refuses control's own connection *and* whose next beat is overdue is given up before its lease ends.
 */
export class WorkerChecks {
  readonly #parts: CheckParts;
  readonly #running = new Map<Incarnation, Promise<void>>();

  constructor(parts: CheckParts) {
    this.#parts = parts;
  }

  /** Returns when the worker was seen to live or is no longer called live, at the latest when its lease has run out. */
  check(incarnation: Incarnation, signal: AbortSignal): Promise<void> {
    const running = this.#running.get(incarnation);
    if (running !== undefined) return running;
    const check = this.#check(incarnation, signal).finally(() => this.#running.delete(incarnation));
    this.#running.set(incarnation, check);
    return check;
  }

  async #check(incarnation: Incarnation, signal: AbortSignal): Promise<void> {
    const { table, leases, patrol, clock } = this.#parts;
    const worker = table.get(workerKey(incarnation));
    if (!serves(worker)) return;
    const beats = leases.beats(incarnation);
    const sight = await this.#look(worker.url, incarnation, signal);
    if (sight === "answers") return;
    const patienceMs = sight === "gone" ? limits.beatMs + limits.livenessTickMs : limits.leaseMs;
    const untilMs = clock.monotonicMs() + limits.leaseMs + 2 * limits.livenessTickMs;
    while (clock.monotonicMs() < untilMs) {
      if (leases.beats(incarnation) > beats) return;
      if (!serves(table.get(workerKey(incarnation)))) return;
      if (sight === "gone" && (leases.silentMs(incarnation) ?? 0) >= patienceMs) {
        leases.expire(incarnation);
        await patrol.sweep(signal);
        return;
      }
      await clock.sleep(POLL_MS, signal);
    }
  }

  async #look(url: string, incarnation: Incarnation, signal: AbortSignal): Promise<Sight> {
    try {
      const response = await this.#parts.fetch(`${url}/v1/health`, {
        signal: AbortSignal.any([signal, AbortSignal.timeout(limits.workerHealthMs)]),
      });
      const health: unknown = await response.json().catch(() => undefined);
      const other =
        typeof health === "object" &&
        health !== null &&
        "incarnation" in health &&
        health.incarnation !== incarnation;
      return other ? "gone" : "answers";
    } catch (error) {
      return refused(error) ? "gone" : "silent";
    }
  }
}

/** Bun names the code `ConnectionRefused`, Node and Deno `ECONNREFUSED` (on the cause). */
function refused(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const code = "code" in error ? error.code : undefined;
  if (code === "ConnectionRefused" || code === "ECONNREFUSED") return true;
  return "cause" in error && refused(error.cause);
}
