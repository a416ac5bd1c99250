/** So many at a time; owners take turns, the work of each in the order in which it came. Whoever waits is bounded by its caller. */
export class Lanes {
  #free: number;
  /** In the order of turns. */
  readonly #waiting = new Map<unknown, (() => void)[]>();

  constructor(width: number) {
    this.#free = width;
  }

  async run<T>(work: () => Promise<T>, owner?: object): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await this.#turn(owner);
    try {
      return await work();
    } finally {
      const next = this.#next();
      if (next === undefined) this.#free++;
      else next();
    }
  }

  #turn(owner: unknown): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(owner);
      if (waiting === undefined) this.#waiting.set(owner, [resolve]);
      else waiting.push(resolve);
    });
  }

  #next(): (() => void) | undefined {
    for (const [owner, waiting] of this.#waiting) {
      const next = waiting.shift();
      this.#waiting.delete(owner);
      if (waiting.length > 0) this.#waiting.set(owner, waiting);
      return next;
    }
    return undefined;
  }
}
