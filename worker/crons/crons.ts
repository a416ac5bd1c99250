/** The crons of all tenants of this worker: one sweep per minute over those that are loaded, no timer per tenant. */
import { SystemError } from "../../shared/errors.ts";
import { STATE_DB } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Log } from "../log.ts";
import { settingsOf } from "../pb/settings.ts";
import { type Clock, systemClock } from "../replication/clock.ts";
import type { Observation, Tenant } from "../tenant/contract.ts";
import type { CronJob } from "./job.ts";
import { isDue, nextDueMs, parseSchedule } from "./schedule.ts";

const MINUTE_MS = 60_000;

/** One due job of a tenant. */
interface Run {
  tenant: Tenant;
  job: CronJob;
  minute: number;
}

const RUNS =
  "CREATE TABLE IF NOT EXISTS _mb_cron_runs (id TEXT PRIMARY KEY NOT NULL, minute INTEGER NOT NULL)";

/**
 * The rule for minutes that pass while a tenant is not loaded or this process is held up: they are skipped, never made up for.
 * A due time that must not be skipped wakes the tenant before it: `nextDue` is what control has to know for that.
 */
export class Crons {
  readonly #jobs: readonly CronJob[];
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #onFailure: (tenant: Tenant, job: string, error: unknown) => void;
  readonly #tenants = new Set<Tenant>();
  readonly #queue: Run[] = [];
  /** Queued or running, as tenant and job: what is still there when it is due again is not queued twice. */
  readonly #pending = new Set<string>();
  #running = 0;
  #cancelSweep: (() => void) | undefined;
  #sweptMinute = -1;

  /** @param options.onFailure - tells the tenant's own people that a job of theirs failed */
  constructor(options: {
    jobs: readonly CronJob[];
    log: Log;
    clock?: Clock;
    onFailure?: (tenant: Tenant, job: string, error: unknown) => void;
  }) {
    this.#jobs = options.jobs;
    this.#log = options.log;
    this.#clock = options.clock ?? systemClock;
    this.#onFailure = options.onFailure ?? (() => undefined);
  }

  /** From now on, until it leaves, the tenant's jobs run here. Cheap when it is known already. */
  attach(tenant: Tenant): void {
    if (this.#tenants.has(tenant) || tenant.gone.aborted) return;
    this.#tenants.add(tenant);
    tenant.gone.addEventListener("abort", () => this.#detach(tenant), { once: true });
    this.#cancelSweep ??= this.#sweepLater();
  }

  /** Every job of the tenant, in the order in which PocketBase lists them: its own last. */
  list(tenant: Tenant, seen: Observation): { id: string; expression: string }[] {
    const settings = settingsOf(tenant, seen);
    return this.#jobs.flatMap((job) => {
      const expression = job.expression(settings);
      return expression === undefined ? [] : [{ id: job.id, expression }];
    });
  }

  /** Runs a job now, whatever its times. @returns whether the tenant has it */
  start(tenant: Tenant, seen: Observation, id: string): boolean {
    const job = this.#jobs.find((known) => known.id === id);
    if (job === undefined || job.expression(settingsOf(tenant, seen)) === undefined) return false;
    void this.#perform(tenant, job);
    return true;
  }

  /** When the tenant must be awake next for a job that may not be skipped; undefined when there is none. */
  nextDue(tenant: Tenant, seen: Observation, afterMs: number): number | undefined {
    const settings = settingsOf(tenant, seen);
    let first: number | undefined;
    for (const job of this.#jobs) {
      const schedule = job.kind === "once" ? parseSchedule(job.expression(settings) ?? "") : undefined;
      const due = schedule === undefined ? undefined : nextDueMs(schedule, afterMs);
      if (due !== undefined && (first === undefined || due < first)) first = due;
    }
    return first;
  }

  /** Queues what is due in the minute of `nowMs`, once per minute. */
  sweep(nowMs: number): void {
    const minute = Math.floor(nowMs / MINUTE_MS);
    if (minute <= this.#sweptMinute) return;
    this.#sweptMinute = minute;
    for (const tenant of this.#tenants) {
      try {
        this.#queueDue(tenant, minute);
      } catch (error) {
        this.#log.warn({ tenant: tenant.id, err: error }, "cannot look for due jobs");
      }
    }
    this.#next();
  }

  /** Resolves when nothing is queued or running. */
  async idle(): Promise<void> {
    while (this.#running > 0 || this.#queue.length > 0) await Bun.sleep(1);
  }

  #queueDue(tenant: Tenant, minute: number): void {
    const settings = settingsOf(tenant, tenant.observe());
    for (const job of this.#jobs) {
      const schedule = parseSchedule(job.expression(settings) ?? "");
      if (schedule === undefined || !isDue(schedule, minute * MINUTE_MS)) continue;
      const key = keyOf(tenant, job);
      if (this.#pending.has(key)) continue;
      this.#pending.add(key);
      this.#queue.push({ tenant, job, minute });
    }
  }

  #next(): void {
    while (this.#running < limits.cronJobsParallel) {
      const run = this.#queue.shift();
      if (run === undefined) return;
      this.#running += 1;
      // Each in a turn of its own: a minute that is due for every tenant must not hold up requests.
      setImmediate(() => {
        void this.#runOnce(run).finally(() => {
          this.#running -= 1;
          this.#pending.delete(keyOf(run.tenant, run.job));
          this.#next();
        });
      });
    }
  }

  async #runOnce({ tenant, job, minute }: Run): Promise<void> {
    if (tenant.gone.aborted) return;
    try {
      if (job.kind === "once" && !(await claimMinute(tenant, job.id, minute))) return;
    } catch (error) {
      this.#log.warn(
        { tenant: tenant.id, job: job.id, err: error },
        "skipped a job: its mark cannot be made durable",
      );
      return;
    }
    await this.#perform(tenant, job);
  }

  async #perform(tenant: Tenant, job: CronJob): Promise<void> {
    let cancel = (): void => undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new SystemError("overloaded", `Cannot wait for job ${job.id}: it runs for too long`);
      cancel = this.#clock.after(limits.cronJobMsMax, () => reject(error));
    });
    try {
      await Promise.race([job.run(tenant), late]);
    } catch (error) {
      if (tenant.gone.aborted) return;
      this.#log.error({ tenant: tenant.id, job: job.id, err: error }, "a job failed");
      this.#onFailure(tenant, job.id, error);
    } finally {
      cancel();
    }
  }

  #detach(tenant: Tenant): void {
    this.#tenants.delete(tenant);
    if (this.#tenants.size > 0) return;
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
  }

  #sweepLater(): () => void {
    const nowMs = this.#clock.nowMs();
    return this.#clock.after(limits.cronSweepMs - (nowMs % MINUTE_MS), () => {
      this.#cancelSweep = this.#sweepLater();
      this.sweep(this.#clock.nowMs());
    });
  }
}

const keyOf = (tenant: Tenant, job: CronJob): string => `${tenant.id} ${job.id}`;

/** Notes durably that the job runs for this minute. @returns false when somebody has noted it already */
async function claimMinute(tenant: Tenant, id: string, minute: number): Promise<boolean> {
  const seen = tenant.observe();
  const isOurs = await tenant.database(STATE_DB).write(seen, (tx) => {
    tx.exec(RUNS);
    const row = tx.get<{ minute: number }>("SELECT minute FROM _mb_cron_runs WHERE id = ?", [id]);
    if (row !== undefined && row.minute >= minute) return false;
    tx.run(
      "INSERT INTO _mb_cron_runs (id, minute) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET minute = excluded.minute",
      [id, minute],
    );
    return true;
  });
  await seen.settled();
  return isOurs;
}
