import { availableParallelism } from "node:os";
import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { StatementProcess } from "./statement-process.ts";

interface Waiting {
  owner: string;
  take: (process: StatementProcess) => void;
  refuse: (error: SystemError) => void;
}

export interface PoolBounds {
  processesMax: number;
  /** Of one owner at a time: nobody takes all of them. */
  perOwnerMax: number;
}

/**
 * A few processes beside this one in which statements run whose cost is not known: only a process can be stopped for sure. They
 * start when they are needed, serve one owner at a time in the order of asking, and end when they are idle or were killed.
 */
export class StatementPool {
  readonly #bounds: PoolBounds;
  readonly #waiting = new Set<Waiting>();
  readonly #all = new Map<StatementProcess, { owner: string | undefined; cancelIdle: () => void }>();
  #starting = 0;

  constructor(bounds: PoolBounds) {
    this.#bounds = bounds;
  }

  /** Processes that are there, idle ones included. */
  get size(): number {
    return this.#all.size;
  }

  /**
   * A process for one owner alone, to be given back by `release`.
   * @throws SystemError `overloaded` when too many wait or for too long, `internal` when none starts
   */
  lease(owner: string, waitMs: number = limits.sqlWaitMsMax): Promise<StatementProcess> {
    if (this.#waiting.size >= limits.sqlWaitingMax)
      return Promise.reject(overloaded("too many statements wait"));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(one);
        reject(overloaded("the statements before it take too long"));
      }, waitMs);
      const one: Waiting = {
        owner,
        take: (process) => {
          clearTimeout(timer);
          resolve(process);
        },
        refuse: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#waiting.add(one);
      this.#next();
    });
  }

  /** Back from its owner; one that was killed is replaced when somebody needs one. */
  release(process: StatementProcess): void {
    const state = this.#all.get(process);
    if (state === undefined) return;
    state.owner = undefined;
    const timer = setTimeout(() => this.#end(process), limits.sqlIdleMs);
    timer.unref();
    state.cancelIdle = () => clearTimeout(timer);
    this.#next();
  }

  #next(): void {
    for (const [process, state] of this.#all) {
      if (state.owner !== undefined || process.isEnded) continue;
      const waiting = this.#firstAllowed();
      if (waiting === undefined) return;
      this.#waiting.delete(waiting);
      state.cancelIdle();
      state.owner = waiting.owner;
      waiting.take(process);
    }
    const wanted = this.#waiting.size > 0 && this.#firstAllowed() !== undefined;
    const room = this.#all.size + this.#starting < this.#bounds.processesMax;
    if (wanted && room && this.#starting < this.#waiting.size) void this.#start();
  }

  #firstAllowed(): Waiting | undefined {
    const owners = [...this.#all.values()].map(({ owner }) => owner);
    for (const waiting of this.#waiting) {
      const held = owners.filter((owner) => owner === waiting.owner).length;
      if (held < this.#bounds.perOwnerMax) return waiting;
    }
    return undefined;
  }

  async #start(): Promise<void> {
    this.#starting += 1;
    try {
      const process: StatementProcess = await StatementProcess.start(() => this.#end(process));
      this.#all.set(process, { owner: undefined, cancelIdle: () => undefined });
    } catch (cause) {
      const error = new SystemError("internal", "Cannot run the statement: its process does not start", {
        cause,
        retryAfterMs: 1_000,
      });
      // It would be started again and again: whoever waits is told instead.
      for (const waiting of this.#waiting) waiting.refuse(error);
      this.#waiting.clear();
    } finally {
      this.#starting -= 1;
    }
    this.#next();
  }

  #end(process: StatementProcess): void {
    const state = this.#all.get(process);
    if (state === undefined) return;
    this.#all.delete(process);
    state.cancelIdle();
    void process.kill("the process was idle");
    this.#next();
  }
}

const overloaded = (state: string): SystemError =>
  new SystemError("overloaded", `Cannot run the statement: ${state}`, { retryAfterMs: 1_000 });

let readers: StatementPool | undefined;
let writers: StatementPool | undefined;

/** The pool of this process for what only reads. */
export function readerPool(): StatementPool {
  // A core is left to what serves requests.
  const perOwnerMax = Math.max(1, Math.min(limits.sqlReadProcessesPerTenantMax, availableParallelism() - 1));
  readers ??= new StatementPool({ processesMax: limits.sqlReadProcessesMax, perOwnerMax });
  return readers;
}

/** The pool of this process for transactions; a tenant has one writer, so it never needs two. */
export function writerPool(): StatementPool {
  writers ??= new StatementPool({ processesMax: limits.sqlWriteProcessesMax, perOwnerMax: 1 });
  return writers;
}
