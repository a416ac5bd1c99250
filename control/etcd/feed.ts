import type { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../raft/driver/clock.ts";
import { TextKv } from "../store/text-kv.ts";
import { type KeyChange, WatchHistory } from "../store/watch-history.ts";
import { Wake } from "../store/wake.ts";
import type { EtcdClient } from "./client.ts";
import type { Layout } from "./layout.ts";
import { type Origin, replaced } from "./origin.ts";
import { type EtcdWatchAnswer, fromBase64, txnSchema, watchSchema } from "./wire.ts";

/** One watch of etcd for the whole process: the history that all watchers here pull from, and who leads. */
export class Feed {
  readonly changed = new Wake();
  /** The watch stands. */
  readonly linked = new Wake();
  /** The leader's key was written or removed. */
  readonly leaderChanged = new Wake();
  /** Another state was restored into etcd. */
  readonly replaced = new Wake();
  readonly #client: EtcdClient;
  readonly #layout: Layout;
  readonly #origin: Origin;
  readonly #clock: Clock;
  #history = new WatchHistory(0);
  #revision = 0;
  #next = 0;
  #connected = false;

  constructor(client: EtcdClient, layout: Layout, origin: Origin, clock: Clock) {
    this.#client = client;
    this.#layout = layout;
    this.#origin = origin;
    this.#clock = clock;
  }

  get history(): WatchHistory {
    return this.#history;
  }

  get revision(): number {
    return this.#revision;
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** From the present state on; history begins there. */
  async start(signal: AbortSignal): Promise<void> {
    const { now, at } = await this.#present(signal);
    this.#revision = at;
    this.#history = new WatchHistory(at);
    this.#next = now + 1;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const ended = new AbortController();
      void this.#guard(AbortSignal.any([signal, ended.signal]), ended);
      try {
        await this.#follow(AbortSignal.any([signal, ended.signal]));
      } catch {
        // The next server, from where this one stopped.
      } finally {
        this.#connected = false;
        ended.abort();
      }
      await this.#sleep(limits.etcdRetryMs, signal);
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const request = { create_request: { ...this.#layout.watched, start_revision: String(this.#next) } };
    for await (const value of this.#client.stream("/v3/watch", request, signal)) {
      const { result } = watchSchema.parse(value);
      if (result === undefined) return;
      if (result.compact_revision > 0) {
        // What happened in between is gone: watchers here are told so and read anew.
        await this.start(signal);
        this.changed.wake();
        return;
      }
      if (result.canceled) return;
      if (!this.#connected) {
        this.#connected = true;
        this.linked.wake();
      }
      this.#take(result.events);
      // Not the header's revision: changes before it may be on their way still.
      const last = result.events.at(-1);
      if (last !== undefined) this.#next = last.kv.mod_revision + 1;
    }
  }

  #take(events: NonNullable<EtcdWatchAnswer["result"]>["events"]): void {
    const groups = new Map<number, KeyChange[]>();
    let leaderChanged = false;
    for (const { type, kv } of events) {
      const changes = groups.get(kv.mod_revision) ?? [];
      groups.set(kv.mod_revision, changes);
      if (kv.key === this.#layout.leader) leaderChanged = true;
      if (kv.key === this.#layout.origin) {
        throw this.#leave();
      }
      const key = this.#layout.keyOf(fromBase64(kv.key));
      if (key === undefined) continue;
      const rev = this.#origin.rev(kv.mod_revision);
      changes.push(type === "DELETE" ? { key, text: null } : new TextKv(key, fromBase64(kv.value), rev));
    }
    for (const [ofEtcd, changes] of groups) {
      const rev = this.#origin.rev(ofEtcd);
      if (changes.length === 0 || rev <= this.#revision) continue;
      this.#history.append({ rev, changes });
      this.#revision = rev;
    }
    if (groups.size > 0) this.changed.wake();
    if (leaderChanged) this.leaderChanged.wake();
  }

  /** Ends a watch that says nothing although something has happened, or whose server does not answer. */
  async #guard(signal: AbortSignal, ended: AbortController): Promise<void> {
    while (!signal.aborted) {
      const before = await this.#present(signal).catch(() => undefined);
      await this.#sleep(limits.etcdCheckMs, signal);
      if (before === undefined || before.at > this.#revision) ended.abort();
    }
  }

  async #present(signal: AbortSignal): Promise<{ now: number; at: number }> {
    const keys = [this.#layout.revision, this.#layout.origin];
    const request = { compare: [], success: keys.map((key) => ({ request_range: { key } })) };
    const { header, responses } = await this.#client.read("/v3/kv/txn", request, txnSchema, signal);
    const origin = responses[1]?.response_range?.kvs[0]?.mod_revision ?? 0;
    if (origin !== this.#origin.modRevision) throw this.#leave();
    return {
      now: header.revision,
      at: this.#origin.rev(responses[0]?.response_range?.kvs[0]?.mod_revision ?? 0),
    };
  }

  /** What follows is counted otherwise, and is not what anyone here has known so far. */
  #leave(): SystemError {
    this.replaced.wake();
    return replaced();
  }

  #sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const cancel = this.#clock.after(delayMs, done);
      signal.addEventListener("abort", done, { once: true });
      if (signal.aborted) done();
    });
  }
}
