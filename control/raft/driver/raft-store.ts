/** ReplicatedStore over one member of a Raft cluster. */
import type { Revision } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { commandOf, encodeCommand } from "../../store/command.ts";
import type {
  Kv,
  Member,
  MemberChange,
  RangeOptions,
  ReplicatedStore,
  Txn,
  TxnResult,
} from "../../store/contract.ts";
import { kvOf } from "../../store/text-kv.ts";
import { watchHistory, type WatchSource } from "../../store/watch.ts";
import type { Clock } from "./clock.ts";
import type { Replica } from "./replica.ts";

export class RaftStore implements ReplicatedStore {
  readonly #replica: Replica;
  readonly #clock: Clock;
  readonly #closed: () => void;
  #closing: Promise<void> | undefined;

  constructor(replica: Replica, clock: Clock, closed: () => void) {
    this.#replica = replica;
    this.#clock = clock;
    this.#closed = closed;
  }

  async txn(txn: Txn, signal?: AbortSignal): Promise<TxnResult> {
    signal?.throwIfAborted();
    const result = await this.#replica.propose(encodeCommand(commandOf(txn)), signal);
    const rev = result.rev as Revision;
    return result.ok ? { ok: true, rev } : { ok: false, rev, seen: result.seen.map(kvOf) };
  }

  async get(key: string, options: { stale?: boolean } = {}): Promise<Kv | undefined> {
    await this.#freshen(options.stale);
    return this.#replica.machine.get(key);
  }

  async range(
    prefix: string,
    options: RangeOptions = {},
  ): Promise<{ kvs: Kv[]; next?: string; rev: Revision }> {
    await this.#freshen(options.stale);
    const { machine } = this.#replica;
    const { rows, next } = machine.range(prefix, options.from, options.limit ?? limits.rangePageMax);
    const rev = machine.revision as Revision;
    return { kvs: rows, rev, ...(next === undefined ? {} : { next }) };
  }

  watch(prefix: string, fromRev: Revision, signal: AbortSignal): ReturnType<ReplicatedStore["watch"]> {
    return watchHistory(this.#watchSource(), prefix, fromRev, signal);
  }

  async *leadership(signal: AbortSignal): AsyncGenerator<{ leader: boolean; term: number }, void, void> {
    let told: { leader: boolean; term: number } | undefined;
    while (!signal.aborted) {
      const { leader, term } = this.#replica.leadership();
      if (told?.leader !== leader || told.term !== term) {
        told = { leader, term };
        yield told;
        continue;
      }
      if (this.#replica.stopped) return;
      await this.#wait((call) => this.#replica.leadershipChanged.next(call), limits.streamProgressMs, signal);
    }
  }

  members(): Promise<Member[]> {
    return Promise.resolve(this.#replica.members());
  }

  async changeMembers(change: MemberChange, and?: Omit<Txn, "cmp">): Promise<Member[]> {
    const command = and === undefined ? undefined : encodeCommand(commandOf({ ...and, cmp: [] }));
    return this.#replica.changeMembers(change, command);
  }

  transferLeader(to: string): Promise<void> {
    return this.#replica.transferLeader(to);
  }

  health(): ReturnType<ReplicatedStore["health"]> {
    const { ok, self, leader, cluster } = this.#replica.health();
    const rev = this.#replica.machine.revision as Revision;
    return Promise.resolve({ ok, self, rev, cluster, ...(leader === undefined ? {} : { leader }) });
  }

  close(): Promise<void> {
    this.#closing ??= this.#replica.close().finally(() => this.#closed());
    return this.#closing;
  }

  async #freshen(stale: boolean | undefined): Promise<void> {
    this.#replica.throwIfStopped();
    if (stale !== true) await this.#replica.barrier();
  }

  #watchSource(): WatchSource {
    const { machine, applied } = this.#replica;
    return {
      history: () => machine.history,
      revision: () => machine.revision,
      changed: async (rev, waitMs, signal) => {
        this.#replica.throwIfStopped();
        if (machine.revision <= rev) await this.#wait((call) => applied.next(call), waitMs, signal);
        this.#replica.throwIfStopped();
        return machine.revision > rev;
      },
    };
  }

  /** Until `subscribe` calls, the time passes or the signal aborts. */
  #wait(subscribe: (call: () => void) => () => void, waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        unsubscribe();
        cancel();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const unsubscribe = subscribe(done);
      const cancel = this.#clock.after(waitMs, done);
      signal.addEventListener("abort", done);
      if (signal.aborted) done();
    });
  }
}
