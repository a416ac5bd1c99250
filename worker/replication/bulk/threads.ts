import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { SystemError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import { type FromThread, type ToThread, unpackError } from "./thread-messages.ts";
import type { BulkChunks, BulkKind, BulkWork } from "./work.ts";

interface Waiting {
  kind: BulkKind;
  start: (thread: Thread) => void;
}

/**
 * A few threads for all large jobs of the process. Loads go before what nobody waits for, and that never has all threads.
 * A thread that has nothing to do for a while ends.
 */
class BulkThreads implements BulkWork {
  readonly #idle: Thread[] = [];
  readonly #queue: Waiting[] = [];
  #threads = 0;
  #background = 0;

  async run(kind: BulkKind, job: unknown, chunks: BulkChunks, signal: AbortSignal): Promise<never> {
    const thread = await this.#turn(kind, signal);
    let usable = false;
    try {
      const result = await thread.run(kind, job, chunks, signal);
      usable = true;
      return result as never;
    } catch (error) {
      usable = thread.usable;
      throw error;
    } finally {
      if (isBackground(kind)) this.#background--;
      if (usable) this.#rest(thread);
      else this.#threads--;
      this.#next();
    }
  }

  #turn(kind: BulkKind, signal: AbortSignal): Promise<Thread> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const waiting: Waiting = {
        kind,
        start: (thread) => {
          signal.removeEventListener("abort", leave);
          resolve(thread);
        },
      };
      const leave = (): void => {
        this.#queue.splice(this.#queue.indexOf(waiting), 1);
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#queue.push(waiting);
      this.#next();
    });
  }

  #next(): void {
    for (;;) {
      const urgent = this.#queue.findIndex(({ kind }) => !isBackground(kind));
      const mayBackground = this.#background < limits.bulkBackgroundThreadsMax;
      const at = urgent >= 0 ? urgent : mayBackground && this.#queue.length > 0 ? 0 : -1;
      if (at < 0 || (this.#idle.length === 0 && this.#threads >= threadsMax())) return;
      const [waiting] = this.#queue.splice(at, 1);
      if (waiting === undefined) return;
      if (isBackground(waiting.kind)) this.#background++;
      waiting.start(this.#take());
    }
  }

  #take(): Thread {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      idle.wake();
      if (idle.usable) return idle;
      this.#threads--;
    }
    this.#threads++;
    return new Thread();
  }

  #rest(thread: Thread): void {
    this.#idle.push(thread);
    thread.rest(limits.bulkThreadIdleMs, () => {
      this.#idle.splice(this.#idle.indexOf(thread), 1);
      this.#threads--;
    });
  }
}

/** Somebody waits for a load, and for a commit. */
const isBackground = (kind: BulkKind): boolean => kind !== "restore" && kind !== "pages";
/** More threads than cores would only make each job slower, but a load must not wait behind a snapshot. */
const threadsMax = (): number =>
  Math.min(limits.bulkThreadsMax, Math.max(limits.bulkBackgroundThreadsMax + 1, availableParallelism()));

class Thread {
  readonly #worker = new Worker(new URL("./thread.ts", import.meta.url));
  #cancelIdle: (() => void) | undefined;
  #runs = 0;
  usable = true;

  constructor() {
    // Also while it has nothing to do.
    const over = (): void => void (this.usable = false);
    this.#worker.on("error", over);
    this.#worker.on("exit", over);
  }

  /** Until the job has ended in the thread, whatever the signal says: files of it may be removed only then. */
  async run(kind: BulkKind, job: unknown, chunks: BulkChunks, signal: AbortSignal): Promise<unknown> {
    const worker = this.#worker;
    const run = ++this.#runs;
    const cancelled = new Int32Array(new SharedArrayBuffer(4));
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    let failure: { error: unknown } | undefined;
    let reading = 0;
    let ended = false;
    let stall: ReturnType<typeof setTimeout> | undefined;
    const give = (message: ToThread, transfer: ArrayBuffer[] = []): void => {
      if (!ended) worker.postMessage(message, transfer);
    };
    const broken = (state: string, cause?: unknown): void => {
      this.end();
      reject(new SystemError("internal", `Cannot ${kind} a large file: its thread ${state}`, { cause }));
    };
    // Checking a whole database is one step of SQLite.
    const patienceMs = kind === "adopt" ? limits.importMs : limits.bulkStallMs;
    const alive = (): void => {
      clearTimeout(stall);
      // While it waits for the store, that has its own time-outs.
      if (reading === 0 && !ended) stall = setTimeout(() => broken("gave no sign of life"), patienceMs);
    };
    const fail = (error: unknown): void => {
      failure ??= { error };
      Atomics.store(cancelled, 0, 1);
    };
    const read = async (input: number): Promise<void> => {
      reading++;
      alive();
      try {
        const bytes = failure === undefined ? await chunks.next(input) : undefined;
        if (failure !== undefined) throw failure.error;
        const own = bytes === undefined || isWhole(bytes) ? bytes : bytes.slice();
        give({ type: "chunk", run, input, bytes: own }, own === undefined ? [] : [own.buffer as ArrayBuffer]);
      } catch (error) {
        fail(error);
        give({ type: "no-chunk", run, input });
      } finally {
        reading--;
        alive();
      }
    };
    const onMessage = (message: FromThread): void => {
      if (message.run !== run) return;
      alive();
      if (message.type === "read") void read(message.input);
      else if (message.type === "done") resolve(message.result);
      else if (message.type === "failed") reject(unpackError(message.error));
    };
    const onError = (error: Error): void => broken("failed", error);
    const onExit = (): void => broken("ended");
    const onAbort = (): void => fail(signal.reason);
    worker.on("message", onMessage);
    worker.on("error", onError);
    worker.on("exit", onExit);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      signal.throwIfAborted();
      give({ type: "start", run, kind, job, cancelled });
      alive();
      return await promise;
    } catch (error) {
      // The thread only knows that it had to stop.
      throw failure === undefined ? error : failure.error;
    } finally {
      ended = true;
      clearTimeout(stall);
      signal.removeEventListener("abort", onAbort);
      worker.off("message", onMessage);
      worker.off("error", onError);
      worker.off("exit", onExit);
    }
  }

  rest(idleMs: number, ended: () => void): void {
    this.#worker.unref();
    const timer = setTimeout(() => {
      ended();
      this.end();
    }, idleMs);
    timer.unref();
    this.#cancelIdle = () => clearTimeout(timer);
  }

  wake(): void {
    this.#cancelIdle?.();
    this.#worker.ref();
  }

  end(): void {
    this.usable = false;
    void this.#worker.terminate();
  }
}

const isWhole = (bytes: Uint8Array): boolean =>
  bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;

let shared: BulkWork | undefined;

/** The one pool of the process. */
export function bulkThreads(): BulkWork {
  shared ??= new BulkThreads();
  return shared;
}
