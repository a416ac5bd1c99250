import { z } from "zod";
import { limits } from "../../shared/limits.ts";
import { routeSchema } from "../../shared/protocol/internal.ts";
import type { RouteTable } from "./route-table.ts";

/** Where a copy of the table outlives the process. */
export interface RouteFile {
  /** @throws when there is none */
  read: () => string;
  /** Replaces it at once. */
  write: (text: string) => Promise<void>;
}

const copySchema = z.object({ format: z.literal(1), control: z.string(), routes: z.array(routeSchema) });

/**
 * A copy of the route table on disk: a gateway that starts while control is down serves from it. Only hints, like the table
 * itself, so it may be old, and a copy that cannot be read is as good as none.
 */
export class RouteCopy {
  readonly #table: RouteTable;
  readonly #file: RouteFile;
  /** A copy of another platform's routes is not ours. */
  readonly #control: string;
  #written: number;

  constructor(table: RouteTable, file: RouteFile, control: string) {
    this.#table = table;
    this.#file = file;
    this.#control = control;
    this.#written = table.changes;
  }

  /** @returns what is wrong with the copy, if there is one and it cannot be used */
  load(): string | undefined {
    let text: string;
    try {
      text = this.#file.read();
    } catch {
      return undefined;
    }
    try {
      const copy = copySchema.parse(JSON.parse(text));
      if (copy.control === this.#control) this.#table.seed(copy.routes);
      this.#written = this.#table.changes;
      return undefined;
    } catch (error) {
      return `Cannot read the copy of the routes: ${(error as Error).message}`;
    }
  }

  /** Writes when something changed. */
  async save(): Promise<void> {
    const { changes } = this.#table;
    if (changes === this.#written) return;
    const copy = { format: 1, control: this.#control, routes: this.#table.all() };
    await this.#file.write(JSON.stringify(copy));
    this.#written = changes;
  }

  /** Saves now and then until the signal, and once more then; large tables less often, so that it stays a small part of the time. */
  async keep(signal: AbortSignal, told: (problem: string) => void): Promise<void> {
    let pauseMs: number = limits.routeCopyMs;
    let failing = false;
    while (!signal.aborted) {
      await sleep(pauseMs, signal);
      const startedMs = performance.now();
      try {
        await this.save();
        failing = false;
      } catch (error) {
        // Said once: where there is no disk it would be said for ever.
        if (!failing) told(`Cannot write the copy of the routes: ${(error as Error).message}`);
        failing = true;
      }
      pauseMs = Math.max(limits.routeCopyMs, (performance.now() - startedMs) * 100);
    }
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
