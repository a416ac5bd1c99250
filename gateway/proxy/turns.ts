import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";

export interface TurnsOptions {
  /** At the workers at a time, of all tenants together. */
  totalMax: number;
  /** At the workers at a time, of one tenant. */
  tenantMax: number;
}

/** A tenant's requests at the workers, and those that wait for it. Who has a turn has this, and ends it with it. */
export interface Turn {
  readonly tenant: string;
  running: number;
  /** As its newest request had it. */
  max: number;
  waiting: (() => void)[];
}

/**
 * Who may have a request at the workers. A tenant has a bound of its own, and when all together are at theirs, tenants take turns,
 * so that one with a long queue waits for its own requests and not the others for it. A turn ends with the answer's head: streams
 * that go on after it take none.
 */
export class Turns {
  readonly #options: TurnsOptions;
  /** Tenants with anything running or waiting, and some that had. */
  readonly #queues = new Map<string, Turn>();
  /** Those with anything waiting, in the order of their turns. */
  readonly #line = new Map<string, Turn>();
  #running = 0;
  #waiting = 0;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /**
   * A turn, at once when there is room. `end` must be told of it once.
   *
   * @param client who may leave while it waits; asked for its signal only then
   * @param tenantMax another bound than every tenant's
   * @throws SystemError `overloaded` when the tenant's queue is full or its turn does not come in time
   */
  take(
    tenant: string,
    client: { signal: AbortSignal },
    tenantMax: number = this.#options.tenantMax,
  ): Turn | Promise<Turn> {
    let queue = this.#queues.get(tenant);
    if (queue === undefined) {
      queue = { tenant, running: 0, max: tenantMax, waiting: [] };
      this.#queues.set(tenant, queue);
    }
    queue.max = tenantMax;
    const { totalMax } = this.#options;
    if (queue.waiting.length === 0 && queue.running < tenantMax && this.#running < totalMax) {
      this.#start(queue);
      return queue;
    }
    if (queue.waiting.length >= limits.turnQueueMax) throw busy();
    return this.#wait(queue, client.signal);
  }

  end(queue: Turn): void {
    queue.running -= 1;
    this.#running -= 1;
    if (this.#line.size > 0) this.#next();
    this.#forget(queue);
  }

  #wait(queue: Turn, signal: AbortSignal): Promise<Turn> {
    this.#waiting += 1;
    this.#line.set(queue.tenant, queue);
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", give);
        this.#waiting -= 1;
      };
      const start = (): void => {
        leave();
        this.#start(queue);
        resolve(queue);
      };
      const give = (): void => {
        leave();
        queue.waiting.splice(queue.waiting.indexOf(start), 1);
        this.#forget(queue);
        reject(signal.aborted ? asError(signal.reason) : busy());
      };
      const timer = setTimeout(give, limits.turnWaitMsMax);
      signal.addEventListener("abort", give, { once: true });
      queue.waiting.push(start);
    });
  }

  #start(queue: Turn): void {
    queue.running += 1;
    this.#running += 1;
  }

  /** The tenant that has waited longest for a turn has it, and goes to the end of the line. */
  #next(): void {
    for (const [tenant, queue] of this.#line) {
      if (queue.running >= queue.max) continue;
      const start = queue.waiting.shift();
      this.#line.delete(tenant);
      if (queue.waiting.length > 0) this.#line.set(tenant, queue);
      start?.();
      return;
    }
  }

  /** Those who come again and again are not made anew each time. */
  #forget({ tenant, running, waiting }: Turn): void {
    if (waiting.length > 0) return;
    if (this.#line.size > 0) this.#line.delete(tenant);
    if (running === 0 && this.#queues.size > limits.turnsKeptMax) this.#queues.delete(tenant);
  }
}

function busy(): SystemError {
  return new SystemError("overloaded", "Cannot take this request: this application has too many at a time", {
    retryAfterMs: 1000,
  });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
