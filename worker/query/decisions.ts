import type { Env } from "./fragment.ts";

type Answer = string | number | boolean;

interface Decision {
  readonly probe: (env: Env) => Answer;
  readonly answer: Answer;
}

/**
 * The questions about a request whose answers shaped a plan's SQL (is there an auth record, is a value empty).
 * A plan serves every request that answers them the same way; everything else of the request is parameters.
 */
export class Decisions {
  #env: Env | undefined;
  readonly #made: Decision[] = [];

  constructor(env: Env) {
    this.#env = env;
  }

  decide<Result extends Answer>(probe: (env: Env) => Result): Result {
    if (this.#env === undefined) throw new Error("Cannot decide: the plan is made");
    const answer = probe(this.#env);
    this.#made.push({ probe, answer });
    return answer;
  }

  /** The plan is made: it is kept for others, and the request that shaped it need not be. */
  end(): void {
    this.#env = undefined;
  }

  hold(env: Env): boolean {
    return this.#made.every(({ probe, answer }) => probe(env) === answer);
  }
}
