import { setImmediate } from "node:timers/promises";
import { limits } from "../../../shared/limits.ts";
import type { Tenant } from "../../tenant/contract.ts";
import { storeLogs, unpackLogs } from "../../pb/logs/packed.ts";
import type { RequestFacts } from "../../pb/logs/request-facts.ts";
import { LOG_LEVELS, type LogEntry } from "../../pb/logs/store.ts";

/** What becomes an entry when the batch is written: the work on it is no request's. */
export type LateEntry = RequestFacts | (() => LogEntry | Promise<LogEntry>);

/** A tenant's logs on their way to auxiliary.db. Nobody waits for it; when it is full, entries are dropped and counted. */
export class LogQueue {
  readonly #tenant: Tenant;
  readonly #flushMs: number;
  #waiting: LateEntry[] = [];
  #dropped = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #flushing: Promise<void> | undefined;

  constructor(tenant: Tenant, flushMs: number = limits.logFlushMs) {
    this.#tenant = tenant;
    this.#flushMs = flushMs;
    tenant.gone.addEventListener("abort", () => this.#stop(), { once: true });
  }

  add(entry: LateEntry): void {
    if (this.#tenant.gone.aborted) return;
    if (this.#waiting.length >= limits.logQueueEntriesMax) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(entry);
    // A burst is written when it is over: its requests have the thread to themselves.
    if (this.#waiting.length === limits.logQueueEntriesSoft) this.#schedule(0);
    else if (this.#timer === undefined) this.#schedule(this.#flushMs);
  }

  /** Everything added before this is written, or lost. */
  async flush(): Promise<void> {
    while (this.#flushing !== undefined || this.#waiting.length > 0) {
      this.#flushing ??= this.#write().finally(() => (this.#flushing = undefined));
      await this.#flushing;
      // Requests have their turns between batches.
      if (this.#waiting.length > 0) await setImmediate();
    }
  }

  /** Everything added before this can be read from `_logs`, or is lost. */
  async settle(): Promise<void> {
    await this.flush();
    await unpackLogs(this.#tenant);
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.flush();
    }, delayMs);
    this.#timer.unref();
  }

  /** Never rejects: logs are not worth more than that. */
  async #write(): Promise<void> {
    const batch = this.#waiting.splice(0, limits.logBatchEntriesMax);
    const dropped = this.#dropped;
    this.#dropped = 0;
    try {
      const entries: (LogEntry | RequestFacts)[] = [];
      for (const late of batch) {
        const making = made(late);
        const entry = making instanceof Promise ? await making : making;
        if (entry !== undefined) entries.push(entry);
      }
      const lost = dropped + batch.length - entries.length;
      if (lost > 0) entries.push(droppedEntry(lost));
      await storeLogs(this.#tenant, entries);
    } catch {
      this.#dropped += dropped + batch.length;
    }
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#waiting = [];
  }
}

/** Undefined for one that cannot be made. */
function made(late: LateEntry): LogEntry | RequestFacts | undefined | Promise<LogEntry | undefined> {
  if (typeof late !== "function") return late;
  try {
    const making = late();
    return making instanceof Promise ? making.catch(() => undefined) : making;
  } catch {
    return undefined;
  }
}

function droppedEntry(dropped: number): LogEntry {
  return {
    timeMs: Date.now(),
    level: LOG_LEVELS.warn,
    message: `${dropped} log entries were dropped`,
    data: { dropped },
  };
}

const slot = { create: (tenant: Tenant): LogQueue => new LogQueue(tenant) };

export function logQueueOf(tenant: Tenant): LogQueue {
  return tenant.slot(slot);
}
