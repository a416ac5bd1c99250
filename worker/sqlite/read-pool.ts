import { fileURLToPath } from "node:url";
import type { Subprocess } from "bun";
import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { RawResult } from "./contract.ts";
import type { ReadAnswer, ReadRequest } from "./read-process.ts";

/** What SQLite said in the other process. */
export class ReadFailure extends Error {
  override readonly name = "SQLiteError";
  readonly errno: number;
  readonly code: string;
  constructor(message: string, errno: number, code: string) {
    super(message);
    this.errno = errno;
    this.code = code;
  }
}

interface Job {
  /** Whose it is: nobody's jobs take all processes while others wait. */
  owner: string;
  request: ReadRequest;
  resolve: (answer: ReadAnswer) => void;
  reject: (error: Error) => void;
}

interface Runner {
  process: Subprocess;
  /** It has started and takes requests: only then does a read's time count. */
  isReady: boolean;
  job: Job | undefined;
  cancelTimer: () => void;
}

/**
 * Reads of unknown cost on a few processes beside this one: only a process can be stopped for sure. They open the database as
 * any other SQLite reader does, so they see the newest commit and hold up no writer.
 */
export class ReadPool {
  readonly #readMs: number;
  readonly #waiting: Job[] = [];
  readonly #runners = new Set<Runner>();

  constructor(readMs: number = limits.sqlReadMs) {
    this.#readMs = readMs;
  }

  /**
   * @returns undefined when the schema is not the one that the request names
   * @throws ReadFailure with SQLite's words, `SQLITE_INTERRUPT` for a read that was killed; SystemError `overloaded`
   */
  async run(owner: string, request: ReadRequest): Promise<RawResult | undefined> {
    if (this.#waiting.length >= limits.sqlReadsWaitingMax) {
      throw new SystemError("overloaded", "Cannot read: too many reads wait", { retryAfterMs: 1_000 });
    }
    const answer = await new Promise<ReadAnswer>((resolve, reject) => {
      this.#waiting.push({ owner, request, resolve, reject });
      this.#next();
    });
    if ("result" in answer) return answer.result;
    if ("schemaChanged" in answer) return undefined;
    const { message, errno, code } = answer.error;
    throw new ReadFailure(message, errno, code);
  }

  #next(): void {
    for (const runner of this.#runners) {
      if (!runner.isReady || runner.job !== undefined) continue;
      const job = this.#take();
      if (job === undefined) return;
      this.#start(runner, job);
    }
    const starting = [...this.#runners].filter(({ isReady }) => !isReady).length;
    if (this.#waiting.length > starting && this.#runners.size < limits.sqlReadProcessesMax) this.#spawn();
  }

  /** The first in line whose owner leaves a process to others. */
  #take(): Job | undefined {
    const running = [...this.#runners].map(({ job }) => job?.owner);
    const index = this.#waiting.findIndex(
      ({ owner }) => running.filter((other) => other === owner).length < limits.sqlReadProcessesMax - 1,
    );
    return index < 0 ? undefined : this.#waiting.splice(index, 1)[0];
  }

  #spawn(): void {
    const entry = fileURLToPath(new URL("./read-process.ts", import.meta.url));
    const process_ = Bun.spawn([process.execPath, entry], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore"],
      ipc: (answer: ReadAnswer | "ready") => this.#told(runner, answer),
      onExit: () => this.#exited(runner),
    });
    // It ends with this process, and must not keep it.
    process_.unref();
    const timer = setTimeout(() => this.#exited(runner), limits.sqlReadStartMs);
    const cancelTimer = (): void => clearTimeout(timer);
    const runner: Runner = { process: process_, isReady: false, job: undefined, cancelTimer };
    this.#runners.add(runner);
  }

  #start(runner: Runner, job: Job): void {
    runner.cancelTimer();
    runner.job = job;
    const timer = setTimeout(() => {
      const why = `The statement took more than ${this.#readMs} ms`;
      this.#end(runner, new ReadFailure(why, 9, "SQLITE_INTERRUPT"));
    }, this.#readMs);
    runner.cancelTimer = () => clearTimeout(timer);
    runner.process.send(job.request);
  }

  #told(runner: Runner, answer: ReadAnswer | "ready"): void {
    const { job } = runner;
    runner.cancelTimer();
    runner.isReady = true;
    runner.job = undefined;
    const timer = setTimeout(() => this.#end(runner), limits.sqlReadIdleMs);
    timer.unref();
    runner.cancelTimer = () => clearTimeout(timer);
    if (answer !== "ready") job?.resolve(answer);
    this.#next();
  }

  #exited(runner: Runner): void {
    const error = new SystemError("internal", "Cannot read: the process that reads has ended", {
      retryAfterMs: 1_000,
    });
    // One that does not even start would be started again and again: whoever waits is told instead.
    if (!runner.isReady && this.#runners.has(runner)) {
      for (const job of this.#waiting.splice(0)) job.reject(error);
    }
    this.#end(runner, error);
  }

  #end(runner: Runner, error?: Error): void {
    if (!this.#runners.delete(runner)) return;
    runner.cancelTimer();
    runner.process.kill("SIGKILL");
    if (error !== undefined) runner.job?.reject(error);
    this.#next();
  }
}

let shared: ReadPool | undefined;

/** The one of this process; its processes start with the first read. */
export function readPool(): ReadPool {
  shared ??= new ReadPool();
  return shared;
}
