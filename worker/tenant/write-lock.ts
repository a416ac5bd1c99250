import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../replication/clock.ts";

interface Waiter {
  enter: () => void;
  refuse: (error: SystemError) => void;
}

/** One writer at a time per tenant, in the order of arrival. Free and synchronous costs no promise. */
export class WriteLock {
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter>();
  #held = false;
  #closed: SystemError | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns whether the caller holds it now and must `leave` */
  tryEnter(): boolean {
    if (this.#closed !== undefined) throw this.#closed;
    if (this.#held) return false;
    this.#held = true;
    return true;
  }

  /** @throws SystemError `overloaded` when too many wait or for too long */
  enter(waitMsMax: number = limits.writeLockWaitMsMax): Promise<void> {
    if (this.tryEnter()) return Promise.resolve();
    if (this.#waiters.size >= limits.tenantQueueMax)
      return Promise.reject(overloaded("too many writes wait"));
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(waitMsMax, () => {
        this.#waiters.delete(waiter);
        reject(overloaded("the writes before it take too long"));
      });
      const waiter: Waiter = {
        enter: () => {
          cancel();
          resolve();
        },
        refuse: (error) => {
          cancel();
          reject(error);
        },
      };
      this.#waiters.add(waiter);
    });
  }

  leave(): void {
    const [next] = this.#waiters;
    if (next === undefined) {
      this.#held = false;
      return;
    }
    // Handed over, not freed: nobody who comes later may overtake.
    this.#waiters.delete(next);
    next.enter();
  }

  get held(): boolean {
    return this.#held;
  }

  /** Nobody enters any more. Who is inside leaves when it likes. */
  close(error: SystemError): void {
    this.#closed = error;
    for (const waiter of this.#waiters) waiter.refuse(error);
    this.#waiters.clear();
  }
}

const overloaded = (state: string): SystemError =>
  new SystemError("overloaded", `Cannot write: ${state}`, { retryAfterMs: 1_000 });
