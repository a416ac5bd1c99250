/** The crons of all tenants of this worker: one sweep per minute over those that are loaded, no timer per tenant. */
import { SystemError } from "../../shared/errors.ts";
import { STATE_DB } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Log } from "../log.ts";
import { onSettings, settingsOf } from "../pb/settings.ts";
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
 * The rule for minutes that pass while a tenant is not loaded or this process is held up: harmless jobs skip them. A job that must
 * run once runs late, once for all the minutes that it missed, as long as the newest of them is not older than
 * `cronLateMinutesMax`; older ones are skipped. So that it is not late by much, control wakes the tenant (`Tenant.wakeAt`).
 */
export class Crons {
  readonly #jobs: readonly CronJob[];
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #onFailure: (tenant: Tenant, job: string, error: unknown) => void;
  readonly #work: (tenant: Tenant) => () => void;
  readonly #tenants = new Set<Tenant>();
  readonly #queue: Run[] = [];
  /** Jobs queued or running: what is still there when it is due again is not queued twice. A tenant that comes again starts anew. */
  readonly #pending = new WeakMap<Tenant, Set<CronJob>>();
  /** Of jobs that run once: queued, and not noted as run yet. */
  readonly #unclaimed = new Set<Run>();
  #running = 0;
  #cancelSweep: (() => void) | undefined;
  #sweptMinute = -1;

  /**
   * @param options.onFailure - tells the tenant's own people that a job of theirs failed
   * @param options.work - told when a job begins; what it returns is called at its end: a tenant at work is not idle
   */
  constructor(options: {
    jobs: readonly CronJob[];
    log: Log;
    clock?: Clock;
    onFailure?: (tenant: Tenant, job: string, error: unknown) => void;
    work?: (tenant: Tenant) => () => void;
  }) {
    this.#jobs = options.jobs;
    this.#log = options.log;
    this.#clock = options.clock ?? systemClock;
    this.#onFailure = options.onFailure ?? (() => undefined);
    this.#work = options.work ?? (() => () => undefined);
  }

  /** From now on, until it leaves, the tenant's jobs run here, and first what its owner before missed. Cheap when it is known already. */
  attach(tenant: Tenant): void {
    if (this.#tenants.has(tenant) || tenant.gone.aborted) return;
    if (this.#tenants.size === 0) this.#sweptMinute = minuteOf(this.#clock.nowMs());
    this.#tenants.add(tenant);
    tenant.gone.addEventListener("abort", () => this.#detach(tenant), { once: true });
    this.#cancelSweep ??= this.#sweepLater();
    const { dueMs } = tenant;
    if (dueMs !== undefined) {
      this.#queueMissed(tenant, minuteOf(dueMs), this.#sweptMinute);
      this.#next();
    }
    onSettings(tenant, () => this.#tellDue(tenant));
    this.#tellDue(tenant);
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
    const done = this.#work(tenant);
    void this.#perform(tenant, job).finally(done);
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

  /** Queues what is due in the minute of `nowMs`, and what must not be skipped of those since the last sweep. */
  sweep(nowMs: number): void {
    const minute = minuteOf(nowMs);
    if (minute <= this.#sweptMinute) return;
    const first = this.#sweptMinute < 0 ? minute : this.#sweptMinute + 1;
    this.#sweptMinute = minute;
    for (const tenant of this.#tenants) {
      try {
        this.#queueDue(tenant, minute);
        this.#queueMissed(tenant, first, minute);
        this.#tellDue(tenant);
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
      if (job.kind === "once") continue;
      const schedule = parseSchedule(job.expression(settings) ?? "");
      if (schedule !== undefined && isDue(schedule, minute * MINUTE_MS)) this.#add({ tenant, job, minute });
    }
  }

  /** Of each job that must run once the newest due minute of these, both included. */
  #queueMissed(tenant: Tenant, first: number, last: number): void {
    const settings = settingsOf(tenant, tenant.observe());
    const from = Math.max(first, last - limits.cronLateMinutesMax);
    for (const job of this.#jobs) {
      const schedule = job.kind === "once" ? parseSchedule(job.expression(settings) ?? "") : undefined;
      if (schedule === undefined) continue;
      for (let minute = last; minute >= from; minute--) {
        if (!isDue(schedule, minute * MINUTE_MS)) continue;
        this.#add({ tenant, job, minute });
        break;
      }
    }
  }

  #add(run: Run): void {
    const pending = this.#pending.get(run.tenant) ?? new Set();
    if (pending.has(run.job)) return;
    this.#pending.set(run.tenant, pending.add(run.job));
    if (run.job.kind === "once") this.#unclaimed.add(run);
    this.#queue.push(run);
  }

  /** A run that waits here is due until it is noted: should the tenant leave now, its next owner makes up for it. */
  #tellDue(tenant: Tenant): void {
    if (tenant.gone.aborted) return;
    try {
      let dueMs = this.nextDue(tenant, tenant.observe(), this.#sweptMinute * MINUTE_MS);
      for (const run of this.#unclaimed) {
        if (run.tenant === tenant) dueMs = Math.min(dueMs ?? Infinity, run.minute * MINUTE_MS);
      }
      tenant.wakeAt(dueMs);
    } catch (error) {
      this.#log.warn({ tenant: tenant.id, err: error }, "cannot tell when a tenant is due");
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
          this.#pending.get(run.tenant)?.delete(run.job);
          this.#next();
        });
      });
    }
  }

  async #runOnce(run: Run): Promise<void> {
    const { tenant, job, minute } = run;
    if (tenant.gone.aborted) {
      this.#unclaimed.delete(run);
      return;
    }
    const done = this.#work(tenant);
    try {
      const isOurs = job.kind === "harmless" || (await this.#claim(run));
      if (job.kind === "once") this.#tellDue(tenant);
      if (!isOurs) return;
      await this.#perform(tenant, job);
    } catch (error) {
      this.#log.warn(
        { tenant: tenant.id, job: job.id, minute, err: error },
        "skipped a job: its mark cannot be made durable",
      );
    } finally {
      done();
    }
  }

  /** When it fails the tenant stays due: if that is because it leaves, its next owner makes up for it, else the next sweep goes on. */
  async #claim(run: Run): Promise<boolean> {
    try {
      return await claimMinute(run.tenant, run.job.id, run.minute);
    } finally {
      this.#unclaimed.delete(run);
    }
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

const minuteOf = (timeMs: number): number => Math.floor(timeMs / MINUTE_MS);

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
