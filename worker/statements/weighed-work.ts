/** Reads and writes of the API whose statements run here when they are light, and in a process when they are not. */
import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { SqlReader } from "../sqlite/contract.ts";
import type { Observation, Tenant, WriteTransaction } from "../tenant/contract.ts";
import { interrupted } from "./failure.ts";
import { selectElsewhere } from "./read.ts";
import { Findings } from "./findings.ts";
import { Suspended, WeighedReader } from "./weighed-reader.ts";
import { weigherOf } from "./weigher.ts";

/** As `tenant.data.read`, but `fn` may be run several times, and the answer may take until `limits.queryMs`. */
export function readWeighed<T>(
  tenant: Tenant,
  seen: Observation,
  fn: (db: SqlReader) => T,
  limitMs: number = limits.queryMs,
): T | Promise<T> {
  const weigher = weigherOf(tenant);
  try {
    return tenant.data.read(seen, (db) => fn(new WeighedReader(db, weigher, new Findings(false))));
  } catch (error) {
    if (!(error instanceof Suspended)) throw error;
    const work = new Elsewhere(tenant, seen, limitMs, false);
    return work.repeat(error, (found) =>
      tenant.data.read(seen, (db) => fn(new WeighedReader(db, weigher, found))),
    );
  }
}

/**
 * As `tenant.data.write`. `check` comes before anything is written and may be run several times; its heavy statements see the
 * newest commit, which is what the transaction sees, because the write lock is held until they have answered.
 *
 * @param how - `writeTogether` when `fn` may be run again, too
 */
export function writeWeighed<Checked, T>(
  tenant: Tenant,
  seen: Observation,
  check: (db: SqlReader) => Checked,
  fn: (tx: WriteTransaction, checked: Checked) => T,
  how: "write" | "writeTogether" = "write",
): T | Promise<Awaited<T>> {
  const weigher = weigherOf(tenant);
  const checked = (tx: WriteTransaction, found: Findings): Checked =>
    check(new WeighedReader(tx, weigher, found));
  let written: T | Promise<Awaited<T>>;
  try {
    written = tenant.data[how](seen, (tx) => fn(tx, checked(tx, new Findings(true))));
  } catch (error) {
    return again(error);
  }
  return written instanceof Promise ? written.catch(again) : written;

  function again(error: unknown): Promise<Awaited<T>> {
    if (!(error instanceof Suspended)) throw error;
    return writeAgain(error);
  }

  async function writeAgain(error: Suspended): Promise<Awaited<T>> {
    return await tenant.data.write(seen, async (tx) => {
      const work = new Elsewhere(tenant, seen, limits.queryRuleMs, true);
      return fn(tx, await work.repeat(error, (found) => checked(tx, found)));
    });
  }
}

/** What one request has run elsewhere so far. */
class Elsewhere {
  readonly #tenant: Tenant;
  readonly #seen: Observation;
  readonly #deadlineMs: number;
  readonly #found: Findings;

  constructor(tenant: Tenant, seen: Observation, limitMs: number, isLocked: boolean) {
    this.#found = new Findings(isLocked);
    this.#tenant = tenant;
    this.#seen = seen;
    this.#deadlineMs = performance.now() + limitMs;
  }

  /** Until `run` is no longer suspended. @throws what `run` throws, SystemError */
  async repeat<T>(first: Suspended, run: (found: Findings) => T): Promise<T> {
    let suspended = first;
    for (let round = 0; round < limits.queryRoundsMax; round++) {
      await this.#work(suspended);
      this.#found.restart();
      try {
        return run(this.#found);
      } catch (error) {
        if (!(error instanceof Suspended)) throw error;
        suspended = error;
      }
    }
    throw interrupted(`The request needs more than ${limits.queryRoundsMax} heavy statements`);
  }

  async #work({ heavy, needs }: Suspended): Promise<void> {
    if (needs === "plan") return weigherOf(this.#tenant).learn(heavy.sql);
    const leftMs = this.#deadlineMs - performance.now();
    try {
      if (leftMs <= 0) throw interrupted("The request's statements take too long together");
      const rows = await selectElsewhere(this.#tenant, this.#seen, heavy, leftMs);
      this.#found.keep(heavy, { rows });
    } catch (error) {
      if (error instanceof SystemError) throw error;
      this.#found.keep(heavy, { error });
    }
  }
}
