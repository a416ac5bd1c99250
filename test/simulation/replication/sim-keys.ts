import { SystemError } from "../../../shared/errors.ts";
import type { WrappedKey } from "../../../worker/encryption/data-key.ts";
import type { KeyContext, KeyProvider } from "../../../worker/encryption/key-provider.ts";
import type { Random } from "../random.ts";
import type { Coverage } from "./coverage.ts";
import type { Actor } from "./schedule.ts";

const ANSWER_MS_MAX = 6;

/** What `unwrap` undoes: a key is never stored as it is. */
export function masked(key: Uint8Array, { tenant, version }: KeyContext): Uint8Array {
  const mask = new Bun.CryptoHasher("sha256").update(`${tenant}/${version}`).digest();
  return key.map((byte, i) => byte ^ (mask[i] ?? 0));
}

/** The key service of a world, and its source of random bytes: the same ones for the same seed, none of them twice. */
export class SimulatedKeys {
  /** It is away now and then. */
  faulty = true;
  readonly #seed: number;
  readonly #random: Random;
  readonly #coverage: Coverage;
  readonly #sleep: (actor: Actor, ms: number) => Promise<void>;
  #drawn = 0;

  constructor(
    seed: number,
    random: Random,
    coverage: Coverage,
    sleep: (actor: Actor, ms: number) => Promise<void>,
  ) {
    this.#seed = seed;
    this.#random = random;
    this.#coverage = coverage;
    this.#sleep = sleep;
  }

  readonly randomBytes = (length: number): Uint8Array => {
    const digest = new Bun.CryptoHasher("sha512").update(`${this.#seed}/${++this.#drawn}`).digest();
    return new Uint8Array(digest.subarray(0, length));
  };

  /** As one process sees it. */
  provider(actor: Actor): KeyProvider {
    const asked = async (): Promise<void> => {
      await this.#sleep(actor, this.#random.next() * ANSWER_MS_MAX);
      if (!this.faulty || !this.#random.chance(0.03)) return;
      this.#coverage.add("key service away");
      throw new SystemError("key_service_unavailable", "Cannot use the key service: away in simulation");
    };
    return {
      current: () => Promise.resolve("simulated"),
      wrap: async (dataKey, context): Promise<WrappedKey> => {
        // The caller may overwrite it while the service thinks.
        const wrapped = masked(dataKey, context);
        await asked();
        return { kek: "simulated", wrapped };
      },
      unwrap: async ({ wrapped }, context) => {
        await asked();
        return masked(wrapped, context);
      },
      close: () => undefined,
    };
  }
}
