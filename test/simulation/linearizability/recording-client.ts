import type { ReplicatedStore, TxnResult } from "../../../control/store/contract.ts";
import type { Revision } from "../../../shared/ids.ts";
import type { Random } from "../random.ts";
import type { History, Operation, Value } from "./history.ts";

/** As much of a store as a register needs; undefined while the target is down. */
export type Target = Pick<ReplicatedStore, "get" | "txn">;

export interface RecordingClientParts {
  name: string;
  keys: readonly string[];
  history: History;
  random: Random;
  /** Any of the members, chosen anew for each attempt. */
  target: () => Target | undefined;
  /** Between attempts. */
  pause: () => Promise<void>;
  stopped: () => boolean;
}

/** Nothing happened, or nobody knows; a store that was cut from power in the middle answers `internal`. */
const EXPECTED = new Set(["control_no_leader", "control_state_unknown", "internal", "overloaded"]);

/** Reads, writes and swaps at random members, repeats what has no answer with the same id, and records all of it. */
export class RecordingClient {
  readonly #parts: RecordingClientParts;
  #sequence = 0;
  answered = 0;

  constructor(parts: RecordingClientParts) {
    this.#parts = parts;
  }

  async run(): Promise<void> {
    const { random, keys, stopped, pause } = this.#parts;
    while (!stopped()) {
      const key = random.pick(keys);
      const dice = random.next();
      if (dice < 0.4) await this.read(key);
      else if (dice < 0.7) await this.#write(key);
      else await this.#swap(key);
      await pause();
    }
  }

  /** Undefined when no member answered. */
  async read(key: string): Promise<{ value: Value; modRev: Revision } | undefined> {
    const { history, name, target } = this.#parts;
    const calledAt = history.now();
    const store = target();
    if (store === undefined) return undefined;
    try {
      const row = await store.get(key);
      const value = (row?.value ?? null) as Value;
      history.returned(key, name, { kind: "read", value }, calledAt);
      this.answered += 1;
      return { value, modRev: row?.modRev ?? (0 as Revision) };
    } catch (error) {
      if (!expected(error)) throw error;
      return undefined;
    }
  }

  async #write(key: string): Promise<void> {
    const value = this.#newValue();
    await this.#txn(key, value, [], { kind: "write", value }, () => {
      throw new Error("a txn without compares was refused");
    });
  }

  async #swap(key: string): Promise<void> {
    const before = await this.read(key);
    if (before === undefined) return;
    const expectedValue = before.value;
    const value = this.#newValue();
    const cmp = [{ key, modRev: before.modRev }];
    await this.#txn(key, value, cmp, { kind: "swap", expected: expectedValue, value }, (seen) => {
      return { kind: "refused", expected: expectedValue, seen };
    });
  }

  async #txn(
    key: string,
    value: string,
    cmp: { key: string; modRev: Revision }[],
    operation: Operation,
    whenRefused: (seen: Value) => Operation,
  ): Promise<void> {
    const { history, name, target, pause, stopped, random } = this.#parts;
    const txn = { id: value, cmp, then: [{ kind: "put", key, value } as const] };
    const calledAt = history.now();
    let mayHaveHappened = false;
    // Some give up early, so that there are operations whose fate stays open.
    const patience = random.chance(0.1) ? 1 : 200;
    for (let attempt = 0; attempt < patience; attempt++) {
      try {
        const store = target();
        if (store !== undefined) {
          const result: TxnResult = await store.txn(txn);
          this.answered += 1;
          if (result.ok) history.returned(key, name, operation, calledAt);
          else history.returned(key, name, whenRefused((result.seen[0]?.value ?? null) as Value), calledAt);
          return;
        }
      } catch (error) {
        if (!expected(error)) throw error;
        mayHaveHappened ||= (error as { code: string }).code !== "control_no_leader";
      }
      if (stopped() && attempt > 20) break;
      await pause();
    }
    if (mayHaveHappened) history.lost(key, name, operation, calledAt);
  }

  #newValue(): string {
    return `${this.#parts.name}-${this.#sequence++}`;
  }
}

function expected(error: unknown): boolean {
  return EXPECTED.has(String((error as { code?: unknown }).code));
}
