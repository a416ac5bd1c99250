/** For tests: a control that dies at any chosen point between its effects. */
import { SystemError } from "../shared/errors.ts";
import type { ObjectStore } from "../shared/objects/contract.ts";
import type { ReplicatedStore } from "./store/contract.ts";

/**
 * Blows before or after the n-th effect once armed: even points are before an effect (it does not happen), odd ones after it
 * (it happened, nobody here heard). From then on nothing of this process has an effect any more.
 */
export class Fuse {
  #left = Number.POSITIVE_INFINITY;
  #blown: (() => void) | undefined;
  blown = false;
  /** What happened since it was armed, for the failure message. */
  readonly effects: string[] = [];

  /** @returns resolves when it blows */
  arm(points: number): Promise<void> {
    this.#left = points;
    return new Promise((resolve) => {
      this.#blown = resolve;
    });
  }

  async effect<T>(name: string, run: () => Promise<T>): Promise<T> {
    this.#burn();
    const result = await run();
    if (this.#left !== Number.POSITIVE_INFINITY) this.effects.push(name);
    this.#burn();
    return result;
  }

  #burn(): void {
    if (!this.blown && this.#left-- <= 0) {
      this.blown = true;
      this.#blown?.();
    }
    if (this.blown) throw new SystemError("control_no_leader", "Cannot go on: this process is dead");
  }

  store(store: ReplicatedStore): ReplicatedStore {
    const txn: ReplicatedStore["txn"] = (txn, signal) =>
      this.effect(`txn ${txn.then[0]?.key ?? ""}`, () => store.txn(txn, signal));
    return wrapped(store, { txn });
  }

  objects(objects: ObjectStore): ObjectStore {
    return wrapped(objects, {
      delete: (keys, options) => this.effect("objects.delete", () => objects.delete(keys, options)),
    });
  }

  readonly fetch = ((input: string | URL | Request, init?: RequestInit) => {
    const url = String(input instanceof Request ? input.url : input);
    return url.endsWith("/release") ? this.effect("release", () => fetch(input, init)) : fetch(input, init);
  }) as typeof fetch;
}

/** The same object but for some methods. */
function wrapped<T extends object>(target: T, methods: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      const own: unknown = Reflect.get(methods, name);
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
