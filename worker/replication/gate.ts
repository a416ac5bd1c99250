import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "./clock.ts";
import type { ReplicationObserver } from "./observer.ts";
import type { CommitMark, DatabasePosition } from "./position.ts";

/** What the gate needs to know of the log. */
export interface GateLog {
  /** How long the object that is under way has been so; 0 when none is. */
  outstandingMs(): number;
  /** Send time (monotonic) of the newest PUT that succeeded: proof that the log was not sealed then. */
  readonly provenMs: number;
  /** Resolves after a PUT that is sent from now on has succeeded. */
  prove(): Promise<void>;
}

export interface GateOptions {
  clock: Clock;
  log: GateLog;
  observer?: Pick<ReplicationObserver, "gateWaited"> | undefined;
  /** The lease holds (control's worker client knows). */
  mayAnswer: () => boolean;
  asyncLag?: AsyncLag | undefined;
}

/** How far async databases may be ahead of object storage; what is not given is the default of shared/limits.ts. */
export interface AsyncLag {
  msMax?: number;
  bytesMax?: number;
}

/** One thing to wait for. */
export interface Seen {
  position: DatabasePosition;
  mark: CommitMark;
  /** Not gated unless behind by more than the bounds of `asyncLag`. */
  async: boolean;
  /** Bytes of the database that are not durable, the WAL's included; asked only for async ones. */
  lagBytes: () => number;
}

/** A database that is about to be written to. */
export interface Lagging {
  async: boolean;
  position: DatabasePosition;
  lagBytes: () => number;
}

interface Waiting {
  deadlineMs: number;
  giveUp: () => void;
}

/** Nothing leaves the process before what it saw is durable and this worker is known to be the owner (replication.md §4, §8). */
export class OutputGate {
  readonly #clock: Clock;
  readonly #log: GateLog;
  readonly #mayAnswer: () => boolean;
  readonly #observer: GateOptions["observer"];
  readonly #asyncLag: AsyncLag;
  /** All wait equally long, so the order of arrival is the order of deadlines, and one timer serves all. */
  readonly #waiting = new Set<Waiting>();
  #cancelTimer: (() => void) | undefined;
  readonly waits = { count: 0, totalMs: 0, timedOut: 0, heldBack: 0 };

  constructor({ clock, log, mayAnswer, observer, asyncLag = {} }: GateOptions) {
    this.#asyncLag = asyncLag;
    this.#observer = observer;
    this.#clock = clock;
    this.#log = log;
    this.#mayAnswer = mayAnswer;
  }

  /** Bytes that an async database may be ahead of object storage. */
  get asyncLagBytesMax(): number {
    return this.#asyncLag.bytesMax ?? limits.asyncLagBytesMax;
  }

  /**
   * Before any SQL of a write runs.
   * @throws SystemError `store_unavailable` while object storage does not answer, `overloaded` when too much is not durable yet
   */
  admitWrite(database: Lagging): void {
    if (this.mayWrite(database)) return;
    throw tooFarAhead();
  }

  /**
   * The same for who can wait: an async database that is too far ahead of object storage is held back until it has caught up.
   * The caller asks again in the turn in which it writes: others may have been let in before it.
   * @param deadlineMs - monotonic
   * @returns nothing when the way is free now
   */
  admission(database: Lagging, deadlineMs: number): Promise<void> | void {
    if (this.mayWrite(database)) return;
    return this.#caughtUp(database, deadlineMs);
  }

  /** Whether a write need not wait for the ones before it. @throws SystemError `store_unavailable` */
  mayWrite(database: Lagging): boolean {
    if (database.async && !this.#lagsTooMuch(database)) return true;
    if (this.#log.outstandingMs() > limits.outageRefuseAfterMs) throw storeAway();
    return !database.async;
  }

  async #caughtUp(database: Lagging, deadlineMs: number): Promise<void> {
    const { position } = database;
    this.waits.heldBack++;
    while (!this.mayWrite(database)) {
      if (this.#clock.monotonicMs() >= deadlineMs) throw tooFarAhead();
      await this.#waitFor(
        { position, mark: position.oldestPendingMark },
        () => (this.#log.outstandingMs() > limits.outageRefuseAfterMs ? storeAway() : tooFarAhead()),
        (lost) => lost,
      );
    }
  }

  /**
   * @param wrote - the caller has committed something itself: then a time-out leaves its fate open
   * @returns nothing when the way is free now
   */
  pass(seen: readonly Seen[], wrote: boolean, signal?: AbortSignal): Promise<void> | void {
    const blocked = this.#blocked(seen);
    if (blocked !== undefined) return this.#wait(blocked, wrote, signal);
    return this.#mayLeave() ? undefined : this.#leaveProven(seen, wrote, signal);
  }

  /** While the proof is under way an async database may fall behind its bound, or be lost. */
  async #leaveProven(seen: readonly Seen[], wrote: boolean, signal?: AbortSignal): Promise<void> {
    await this.#proven(signal);
    const blocked = this.#blocked(seen);
    if (blocked !== undefined) await this.#wait(blocked, wrote, signal);
  }

  #blocked(seen: readonly Seen[]): Seen[] | undefined {
    let blocked: Seen[] | undefined;
    for (const one of seen) {
      const { position, mark, async } = one;
      if (position.isDurable(mark) || (async && !position.failed && !this.#lagsTooMuch(one))) continue;
      (blocked ??= []).push(one);
    }
    return blocked;
  }

  /** Resolves when the commit is durable, however long it takes; rejects when the tenant is lost. */
  durable(position: DatabasePosition, mark: CommitMark): Promise<void> | void {
    if (position.isDurable(mark)) return;
    return new Promise((resolve, reject) => {
      position.wait(mark, (error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  async #wait(blocked: readonly Seen[], wrote: boolean, signal?: AbortSignal): Promise<void> {
    const startedMs = this.#clock.monotonicMs();
    this.waits.count++;
    try {
      const waits = (one: Seen): Promise<void> =>
        this.#waitFor(
          one,
          () => (wrote ? fateOpen() : notReadable()),
          // What was committed and not confirmed may or may not be in the log: its caller must know that.
          (lost) => (wrote ? fateOpen(lost) : lost),
          signal,
        );
      const [only, ...more] = blocked;
      if (only !== undefined && more.length === 0) await waits(only);
      else await Promise.all(blocked.map(waits));
    } finally {
      const waitedMs = this.#clock.monotonicMs() - startedMs;
      this.waits.totalMs += waitedMs;
      this.#observer?.gateWaited(waitedMs);
    }
    // The lease is looked at again when the gate opens; for a writer its own PUT is the proof.
    if (!this.#mayLeave()) await this.#proven(signal);
  }

  #waitFor(
    { position, mark }: Pick<Seen, "position" | "mark">,
    late: () => SystemError,
    lost: (error: SystemError) => SystemError,
    signal?: AbortSignal,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      let stopWaiting = (): void => {};
      const finish = (error: unknown): void => {
        this.#waiting.delete(waiting);
        if (this.#waiting.size === 0) this.#disarm();
        signal?.removeEventListener("abort", onAbort);
        stopWaiting();
        if (error === undefined) resolve();
        else reject(error);
      };
      const onAbort = (): void => finish(signal?.reason);
      const waiting: Waiting = {
        deadlineMs: this.#clock.monotonicMs() + limits.gateWaitMsMax,
        giveUp: () => {
          this.waits.timedOut++;
          finish(late());
        },
      };
      if (signal?.aborted === true) return finish(signal.reason);
      signal?.addEventListener("abort", onAbort);
      this.#waiting.add(waiting);
      this.#arm();
      stopWaiting = position.wait(mark, (error) => finish(error === undefined ? undefined : lost(error)));
    });
  }

  /** The lease holds, or a PUT that was sent a moment ago showed that nobody had sealed the log. */
  #mayLeave(): boolean {
    return this.#mayAnswer() || this.#clock.monotonicMs() - this.#log.provenMs <= limits.leaseProofMs;
  }

  async #proven(signal?: AbortSignal): Promise<void> {
    let giveUp = (): void => {};
    const late = new Promise<never>((_, reject) => {
      giveUp = this.#clock.after(limits.gateWaitMsMax, () =>
        reject(
          new SystemError(
            "lease_expired",
            "Cannot answer: this worker cannot show that it still owns the tenant",
            {
              retryAfterMs: 1_000,
            },
          ),
        ),
      );
    });
    try {
      await Promise.race([this.#log.prove(), late, ...(signal === undefined ? [] : [aborted(signal)])]);
    } finally {
      giveUp();
    }
  }

  #lagsTooMuch({ position, lagBytes }: Pick<Seen, "position" | "lagBytes">): boolean {
    const since = position.pendingSinceMs;
    if (since === undefined) return false;
    const { msMax = limits.asyncLagMsMax } = this.#asyncLag;
    return this.#clock.monotonicMs() - since > msMax || lagBytes() > this.asyncLagBytesMax;
  }

  #disarm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #arm(): void {
    if (this.#cancelTimer !== undefined) return;
    const [first] = this.#waiting;
    if (first === undefined) return;
    this.#cancelTimer = this.#clock.after(Math.max(0, first.deadlineMs - this.#clock.monotonicMs()), () => {
      this.#cancelTimer = undefined;
      const now = this.#clock.monotonicMs();
      for (const waiting of this.#waiting) {
        if (waiting.deadlineMs > now) break;
        waiting.giveUp();
      }
      this.#arm();
    });
  }
}

const storeAway = (): SystemError =>
  new SystemError("store_unavailable", "Cannot write: object storage does not answer", {
    hint: "Nothing was changed. Try again; reads of what is durable go on.",
    retryAfterMs: 1_000,
  });

const tooFarAhead = (): SystemError =>
  new SystemError(
    "overloaded",
    "Cannot write: too much that was written before is not in object storage yet",
    {
      hint: "Nothing was changed. Write more slowly, or give the worker a faster way to object storage.",
      retryAfterMs: 1_000,
    },
  );

const fateOpen = (cause?: SystemError): SystemError =>
  new SystemError(
    "commit_unknown",
    `Cannot confirm the write: ${cause?.message ?? "it is not in object storage yet"}`,
    {
      cause,
      hint: "It may become durable later. Read it again before you repeat it.",
      retryAfterMs: 5_000,
    },
  );

const notReadable = (): SystemError =>
  new SystemError("store_unavailable", "Cannot answer: what was read is not durable yet", {
    retryAfterMs: 1_000,
  });

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(signal.reason as Error);
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}
