import { SystemError } from "../../shared/errors.ts";
import type { Epoch, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { condemnedKey, tenantPrefix } from "../../shared/objects/layout.ts";
import { getBytes } from "../../shared/objects/read.ts";
import { z } from "zod";
import type { Clock } from "./clock.ts";
import { putDurably } from "./put-durably.ts";
import { WorkTimer } from "./work-timer.ts";

const recordSchema = z.object({ keys: z.array(z.string()).max(limits.condemnedKeysMax) });

/** Whose objects they are. */
export interface CondemnedOwner {
  readonly tenant: TenantId;
  readonly epoch: Epoch;
  /** Still owned here at that epoch. */
  here(): boolean;
  /** Of keys that are about to go those that still may. */
  stillFree?(keys: readonly string[]): Promise<readonly string[]>;
}

export interface CondemnedOptions {
  store: ObjectStore;
  clock: Clock;
  /** Ends everything. */
  signal: AbortSignal;
  /** 32 lower-case hex digits, new at each call. */
  newNonce: () => string;
  /** Resolves after a PUT to the own log that is sent from now on; rejects when the log was ended by another. */
  prove: () => Promise<void>;
}

interface Sentence {
  owner: CondemnedOwner;
  keys: readonly string[];
  record: string;
  atMs: number;
}

/**
 * Deletions of tenants' objects. First a record is durable, so that nobody (a next owner included) counts on what it names; then,
 * one to two hours later and after a PUT to the own log has shown that the worker was not replaced meanwhile, they are deleted.
 * A worker that leaves or dies in between leaves the record to the next owner, who condemns anew.
 */
export class Condemned {
  readonly #options: CondemnedOptions;
  readonly #timer: WorkTimer;
  /** In order of time. */
  #sentences: Sentence[] = [];
  #working = false;
  readonly counters = { condemned: 0, deleted: 0 };

  constructor(options: CondemnedOptions) {
    this.#options = options;
    this.#timer = new WorkTimer(options.clock, () => void this.#work());
  }

  close(): void {
    this.#timer.stop();
    this.#sentences = [];
  }

  /** What a record names that was made here, while its deletion is to come. */
  known(record: string): readonly string[] | undefined {
    return this.#sentences.find((one) => one.record === record)?.keys;
  }

  /** Whether deletions of this tenant wait for their hour, which they would have to begin anew if it left. */
  waits(tenant: TenantId): boolean {
    return this.#sentences.some(({ owner }) => owner.tenant === tenant && owner.here());
  }

  /**
   * What a record of another owner names. @throws SystemError `object_foreign` when it names what is not the tenant's
   */
  async read(tenant: TenantId, record: string): Promise<readonly string[]> {
    const { store, signal } = this.#options;
    const bytes = await getBytes(store, record, { signal });
    if (bytes === undefined) return [];
    const prefix = tenantPrefix(tenant);
    const parsed = recordSchema.safeParse(parseJson(bytes));
    const ours =
      parsed.success &&
      parsed.data.keys.every((key) => DELETABLE.test(key.slice(prefix.length)) && key.startsWith(prefix));
    if (!parsed.success || !ours) {
      throw new SystemError(
        "object_foreign",
        `Cannot read ${record}: it is no list of this tenant's objects`,
        {
          hint: "Nothing was deleted. Remove the object when you know where it came from.",
        },
      );
    }
    return parsed.data.keys;
  }

  /** Announces that these objects go; resolves when that is durable. @param replaces - records that this one stands for */
  async condemn(
    owner: CondemnedOwner,
    keys: readonly string[],
    replaces: readonly string[] = [],
  ): Promise<void> {
    const { store, clock, signal, newNonce } = this.#options;
    for (let at = 0; at < keys.length; at += limits.condemnedKeysMax) {
      const part = keys.slice(at, at + limits.condemnedKeysMax);
      const record = condemnedKey(owner.tenant, owner.epoch, newNonce());
      const body = new TextEncoder().encode(JSON.stringify({ keys: part }));
      await putDurably(store, record, () => body, { clock, signal });
      this.counters.condemned += part.length;
      const atMs = clock.monotonicMs();
      this.#sentences.push({ owner, keys: part, record, atMs });
      this.#timer.by(atMs + limits.condemnedMsMin);
    }
    if (replaces.length > 0) await store.delete(replaces, { signal });
  }

  async #work(): Promise<void> {
    const { clock, signal } = this.#options;
    if (this.#working || signal.aborted) return;
    this.#working = true;
    let retryMs = 0;
    try {
      await this.#carryOut();
    } catch {
      // The store or the log does not answer: again later, anew when that is too late.
      retryMs = limits.maintenanceRetryMs;
    }
    this.#working = false;
    const [next] = this.#sentences;
    if (next === undefined || signal.aborted) return;
    this.#timer.by(Math.max(next.atMs + limits.condemnedMsMin, clock.monotonicMs() + retryMs));
  }

  async #carryOut(): Promise<void> {
    const { store, clock, signal, prove } = this.#options;
    this.#sentences = this.#sentences.filter(({ owner }) => owner.here());
    const nowMs = clock.monotonicMs();
    const due = this.#sentences.filter(({ atMs }) => nowMs - atMs >= limits.condemnedMsMin);
    if (due.length === 0) return;
    await prove();
    for (const sentence of due) {
      signal.throwIfAborted();
      if (!sentence.owner.here()) continue;
      const laterMs = clock.monotonicMs();
      if (laterMs - sentence.atMs > limits.condemnedMsMax) {
        sentence.atMs = laterMs;
        continue;
      }
      const keys = (await sentence.owner.stillFree?.(sentence.keys)) ?? sentence.keys;
      if (keys.length > 0) await store.delete(keys, { signal });
      // Last: while it is there, what it names must not be counted on.
      await store.delete([sentence.record], { signal });
      this.counters.deleted += keys.length;
      this.#sentences = this.#sentences.filter((one) => one !== sentence);
    }
    this.#sentences.sort((a, b) => a.atMs - b.atMs);
  }
}

/** Nothing else of a tenant is ever deleted this way. */
const DELETABLE = /^(litestream|flushes|large|storage)\//;

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
