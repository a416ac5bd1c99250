import { fileURLToPath } from "node:url";
import type { Subprocess } from "bun";
import { limits } from "../../shared/limits.ts";
import type { SqlRow, SqlValue } from "../sqlite/contract.ts";
import { SqlRefused } from "./refused.ts";
import { StatementFailure, interrupted } from "./failure.ts";
import type { Question, Told } from "./messages.ts";

/** What ends a question, and the rows that came before it. */
export interface Answer {
  told: Exclude<Told, { type: "rows" | "failed" | "ready" }>;
  rows: (SqlValue[] | SqlRow)[];
}

interface Asked {
  rows: (SqlValue[] | SqlRow)[];
  resolve: (answer: Answer) => void;
  reject: (error: Error) => void;
  cancelTimer: () => void;
}

/** What serves requests comes first. */
const NICE = `command -v nice >/dev/null && exec nice -n ${limits.sqlProcessNice} "$0" "$@";`;

/** One process that runs statements, one question at a time, and is killed when a question takes too long. */
export class StatementProcess {
  readonly #process: Subprocess;
  readonly #onEnd: () => void;
  #asked: Asked | undefined;
  #killedBecause: string | undefined;
  #ended = false;

  private constructor(process: Subprocess, onEnd: () => void) {
    this.#process = process;
    this.#onEnd = onEnd;
  }

  /** @param onEnd - it is gone, or about to be. @throws when it is not ready in time */
  static async start(onEnd: () => void): Promise<StatementProcess> {
    const ready = Promise.withResolvers<void>();
    let started: StatementProcess | undefined;
    // RLIMIT_DATA bounds what SQLite may allocate: it then says "out of memory" instead of taking the machine's.
    const limited = `ulimit -d ${limits.sqlProcessKibibytesMax} 2>/dev/null; ${NICE} exec "$0" "$@"`;
    const entry = fileURLToPath(new URL("./child.ts", import.meta.url));
    const spawned = Bun.spawn(["/bin/sh", "-c", limited, process.execPath, entry], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore"],
      // Nothing of this process's secrets.
      env: {},
      ipc: (told: Told) => {
        if (told.type === "ready") ready.resolve();
        else if (started !== undefined) started.#answered(told);
      },
      onExit: () => {
        ready.reject(new Error("Cannot start a process for statements: it has ended"));
        if (started !== undefined) started.#exited();
      },
    });
    // It ends with this process, and must not keep it.
    spawned.unref();
    const timer = setTimeout(() => {
      ready.reject(new Error("Cannot start a process for statements: it takes too long"));
      spawned.kill("SIGKILL");
    }, limits.sqlStartMs);
    try {
      await ready.promise;
    } finally {
      clearTimeout(timer);
    }
    started = new StatementProcess(spawned, onEnd);
    return started;
  }

  get isEnded(): boolean {
    return this.#ended || this.#killedBecause !== undefined;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /**
   * @param limitMs - after which the process is killed
   * @throws StatementFailure with SQLite's words, `SQLITE_INTERRUPT` when it was killed; SqlRefused
   */
  ask(question: Question, limitMs: number): Promise<Answer> {
    if (this.isEnded) return Promise.reject(interrupted(this.#killedBecause ?? "the process has ended"));
    if (this.#asked !== undefined) throw new Error("Cannot ask a process two questions at a time");
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => void this.kill(`The statement took more than ${Math.round(limitMs)} ms`),
        limitMs,
      );
      this.#asked = { rows: [], resolve, reject, cancelTimer: () => clearTimeout(timer) };
      this.#process.send(question);
    });
  }

  /** Resolves when it is gone, and with it every lock that it held. */
  async kill(why: string): Promise<void> {
    if (!this.isEnded) {
      this.#killedBecause = why;
      this.#process.kill("SIGKILL");
    }
    await this.#process.exited;
  }

  #answered(told: Told): void {
    const asked = this.#asked;
    if (asked === undefined || told.type === "ready") return;
    if (told.type === "rows") {
      for (const row of told.rows) asked.rows.push(row);
      return;
    }
    this.#asked = undefined;
    asked.cancelTimer();
    if (told.type !== "failed") asked.resolve({ told, rows: asked.rows });
    else if (told.name === "SqlRefused") asked.reject(new SqlRefused(told.code, told.message));
    else asked.reject(new StatementFailure(told.message, told.errno, told.code, told.isLost));
  }

  #exited(): void {
    if (this.#ended) return;
    this.#ended = true;
    const asked = this.#asked;
    this.#asked = undefined;
    asked?.cancelTimer();
    // Whoever asked goes on only when the process is really gone.
    asked?.reject(
      this.#killedBecause === undefined
        ? new StatementFailure("The statement's process has ended: out of memory?", 7, "SQLITE_NOMEM", true)
        : interrupted(this.#killedBecause),
    );
    this.#onEnd();
  }
}
