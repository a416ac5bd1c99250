/**
 * Jobs that may fail and be tried again, of many owners who must not stand in each other's way: bounded in number, in parallel
 * runs, per owner, and in attempts. Owners take turns.
 */
import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";

export interface Job {
  /** One attempt. `again` when it failed and may succeed later; throws nothing. */
  run(attempt: number): Promise<"done" | "again">;
  /** After the last attempt has failed too, or the queue was closed before. */
  gaveUp(): void;
}

interface Entry {
  job: Job;
  attempt: number;
}

interface Owner {
  waiting: Entry[];
  running: number;
  /** Waiting, running, and between two attempts. */
  total: number;
}

export interface QueueOptions {
  retryMsMin?: number;
}

export class RetryQueue {
  readonly #owners = new Map<string, Owner>();
  readonly #pauses = new Map<Entry, ReturnType<typeof setTimeout>>();
  readonly #retryMsMin: number;
  #total = 0;
  #running = 0;
  #isClosed = false;
  #idle: (() => void)[] = [];

  constructor({ retryMsMin = limits.mailRetryMsMin }: QueueOptions = {}) {
    this.#retryMsMin = retryMsMin;
  }

  /** Jobs that are not yet done or given up. */
  get size(): number {
    return this.#total;
  }

  /** @throws SystemError `overloaded`, `tenant_stopped` after `close` */
  push(ownerName: string, job: Job): void {
    if (this.#isClosed) throw new SystemError("tenant_stopped", "Cannot send mail: the worker is stopping");
    const owner = this.#owners.get(ownerName) ?? { waiting: [], running: 0, total: 0 };
    if (this.#total >= limits.mailQueueMax || owner.total >= limits.mailTenantQueueMax) {
      throw new SystemError("overloaded", "Cannot send mail: too many are waiting", {
        hint: "Check that the mail server of the settings answers.",
      });
    }
    this.#owners.set(ownerName, owner);
    owner.total += 1;
    this.#total += 1;
    owner.waiting.push({ job, attempt: 1 });
    this.#start();
  }

  /** Takes no more, waits up to `graceMs` for what runs and waits for its first attempt, and gives up the rest. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    for (const [entry, timer] of this.#pauses) {
      clearTimeout(timer);
      entry.job.gaveUp();
    }
    this.#pauses.clear();
    if (this.#isWorking()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#idle.push(resolve);
      const timer = setTimeout(resolve, graceMs);
      await promise;
      clearTimeout(timer);
    }
    for (const owner of this.#owners.values()) for (const { job } of owner.waiting.splice(0)) job.gaveUp();
  }

  #isWorking(): boolean {
    return this.#running > 0 || [...this.#owners.values()].some(({ waiting }) => waiting.length > 0);
  }

  #start(): void {
    while (this.#running < limits.mailParallel) {
      const next = this.#takeTurn();
      if (next === undefined) return;
      void this.#run(...next);
    }
  }

  /** The map is in the order of turns: who was served goes to its end. */
  #takeTurn(): [string, Owner, Entry] | undefined {
    for (const [name, owner] of this.#owners) {
      if (owner.running >= limits.mailTenantParallel) continue;
      const entry = owner.waiting.shift();
      if (entry === undefined) continue;
      this.#owners.delete(name);
      this.#owners.set(name, owner);
      owner.running += 1;
      this.#running += 1;
      return [name, owner, entry];
    }
    return undefined;
  }

  async #run(name: string, owner: Owner, entry: Entry): Promise<void> {
    const outcome = await entry.job.run(entry.attempt);
    owner.running -= 1;
    this.#running -= 1;
    const isLast = this.#isClosed || entry.attempt >= limits.mailAttemptsMax;
    if (outcome === "again" && !isLast) {
      this.#pause(owner, entry);
    } else {
      if (outcome === "again") entry.job.gaveUp();
      owner.total -= 1;
      this.#total -= 1;
      if (owner.total === 0) this.#owners.delete(name);
    }
    this.#start();
    if (!this.#isWorking()) for (const tell of this.#idle.splice(0)) tell();
  }

  #pause(owner: Owner, entry: Entry): void {
    const waitMs = Math.min(
      this.#retryMsMin * limits.mailRetryFactor ** (entry.attempt - 1),
      limits.mailRetryMsMax,
    );
    const timer = setTimeout(() => {
      this.#pauses.delete(entry);
      owner.waiting.push({ job: entry.job, attempt: entry.attempt + 1 });
      this.#start();
    }, waitMs);
    timer.unref();
    this.#pauses.set(entry, timer);
  }
}
