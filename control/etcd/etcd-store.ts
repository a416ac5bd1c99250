/** ReplicatedStore over an etcd cluster (3.4 and later), by its JSON gateway. */
import { SystemError, UserError } from "../../shared/errors.ts";
import type { Revision } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { type Clock, systemClock } from "../raft/driver/clock.ts";
import { commandOf, encodeCommand } from "../store/command.ts";
import type { Kv, Member, RangeOptions, ReplicatedStore, Txn, TxnResult } from "../store/contract.ts";
import { kvOf } from "../store/text-kv.ts";
import { type WatchSource, watchHistory } from "../store/watch.ts";
import { EtcdClient } from "./client.ts";
import { Election } from "./election.ts";
import { Feed } from "./feed.ts";
import { Layout } from "./layout.ts";
import { type Origin, readOrigin, replaced } from "./origin.ts";
import { Transactions } from "./transactions.ts";
import { rangeSchema, txnSchema } from "./wire.ts";

export interface EtcdStoreOptions {
  /** Client addresses, separated by commas. */
  urls: string;
  /** Below which all keys are: several platforms may share an etcd. */
  prefix: string;
  /** This replica's name among those that use the store. */
  id: string;
  /** Where this replica answers. */
  url: string;
  fetch?: typeof fetch;
  clock?: Clock;
  /** Another state was restored into etcd: this store is of no use any more. */
  onFailure: (error: SystemError) => void;
}

/** @throws SystemError `control_no_leader` when etcd does not answer; UserError `conflict` while a state is restored into it */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<ReplicatedStore> {
  const client = new EtcdClient({ urls: options.urls, fetch: options.fetch ?? globalThis.fetch });
  const layout = new Layout(options.prefix);
  const store = new EtcdStore(options, client, layout, await readOrigin(client, layout));
  await store.start();
  return store;
}

class EtcdStore implements ReplicatedStore {
  readonly #options: EtcdStoreOptions;
  readonly #clock: Clock;
  readonly #client: EtcdClient;
  readonly #layout: Layout;
  readonly #origin: Origin;
  readonly #transactions: Transactions;
  readonly #feed: Feed;
  readonly #election: Election;
  readonly #stop = new AbortController();
  #cluster = "";
  #closed = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: EtcdStoreOptions, client: EtcdClient, layout: Layout, origin: Origin) {
    const { id, url, clock = systemClock, onFailure } = options;
    this.#options = options;
    this.#clock = clock;
    this.#client = client;
    this.#layout = layout;
    this.#origin = origin;
    this.#transactions = new Transactions(client, layout, origin, () => clock.now());
    this.#feed = new Feed(client, layout, origin, clock);
    const { leaderChanged } = this.#feed;
    this.#election = new Election({ client, layout, origin, clock, id, url, leaderChanged });
    this.#feed.replaced.next(() => {
      if (this.#stop.signal.aborted) return;
      this.#stop.abort(replaced());
      this.#feed.changed.wake();
      onFailure(replaced());
    });
  }

  async start(): Promise<void> {
    await this.#feed.start(this.#stop.signal);
    const { header } = await this.#client.read("/v3/kv/range", { key: this.#layout.revision }, rangeSchema);
    this.#cluster = `${header?.cluster_id ?? ""}/${this.#options.prefix}`;
    await this.#election.settle();
    const linked = this.#wait((call) => this.#feed.linked.next(call), limits.etcdReadMs, this.#stop.signal);
    this.#running = Promise.all([this.#feed.run(this.#stop.signal), this.#election.run(this.#stop.signal)]);
    await linked;
  }

  async txn(txn: Txn, signal?: AbortSignal): Promise<TxnResult> {
    signal?.throwIfAborted();
    this.#throwIfClosed();
    const command = commandOf(txn);
    encodeCommand(command);
    const result = await this.#transactions.apply(command, signal);
    const rev = result.rev as Revision;
    return result.ok ? { ok: true, rev } : { ok: false, rev, seen: result.seen.map(kvOf) };
  }

  async get(key: string, { stale = false }: { stale?: boolean } = {}): Promise<Kv | undefined> {
    this.#throwIfClosed();
    const request = { key: this.#layout.row(key), serializable: stale };
    const { kvs } = await this.#client.read("/v3/kv/range", request, rangeSchema);
    return kvs[0] === undefined ? undefined : kvOf(this.#transactions.rowOf(kvs[0]));
  }

  async range(
    prefix: string,
    { from, limit = limits.rangePageMax, stale = false }: RangeOptions = {},
  ): Promise<{ kvs: Kv[]; next?: string; rev: Revision }> {
    this.#throwIfClosed();
    const rows = { ...this.#layout.rows(prefix, from), limit: String(limit), serializable: stale };
    const revision = { key: this.#layout.revision, serializable: stale };
    const request = { compare: [], success: [{ request_range: rows }, { request_range: revision }] };
    const { responses } = await this.#client.read("/v3/kv/txn", request, txnSchema);
    const [found, at] = responses.map((one) => one.response_range);
    const kvs = (found?.kvs ?? []).map((kv) => kvOf(this.#transactions.rowOf(kv)));
    const rev = this.#origin.rev(at?.kvs[0]?.mod_revision ?? 0) as Revision;
    const last = kvs.at(-1);
    return { kvs, rev, ...(found?.more === true && last !== undefined ? { next: last.key } : {}) };
  }

  watch(prefix: string, fromRev: Revision, signal: AbortSignal): ReturnType<ReplicatedStore["watch"]> {
    return watchHistory(this.#watchSource(), prefix, fromRev, signal);
  }

  async *leadership(signal: AbortSignal): AsyncGenerator<{ leader: boolean; term: number }, void, void> {
    let told: { leader: boolean; term: number } | undefined;
    while (!signal.aborted && !this.#stop.signal.aborted) {
      const state = this.#election.state;
      if (told?.leader !== state.leader || told.term !== state.term) {
        told = state;
        yield state;
        continue;
      }
      // Looked at now and then too: a lease runs out without a sound.
      await this.#wait((call) => this.#election.changed.next(call), limits.etcdRetryMs, signal);
    }
  }

  async members(): Promise<Member[]> {
    this.#throwIfClosed();
    const replicas = await this.#election.replicas();
    const { leaderId } = this.#election;
    return replicas.map(({ id, url }) => ({ id, url, role: id === leaderId ? "leader" : "follower" }));
  }

  changeMembers(): Promise<Member[]> {
    return Promise.reject(
      new UserError(
        "conflict",
        "Cannot change members: etcd keeps the state, and it has members of its own",
        {
          hint: "Use etcdctl member; replicas of control come and go by starting and stopping them.",
        },
      ),
    );
  }

  transferLeader(): Promise<void> {
    return Promise.reject(
      new UserError("conflict", "Cannot transfer leadership: on etcd the first replica to ask leads", {
        hint: "Stop the replica that leads: another one takes over at once.",
      }),
    );
  }

  health(): ReturnType<ReplicatedStore["health"]> {
    const { leaderId } = this.#election;
    return Promise.resolve({
      ok: !this.#stop.signal.aborted && this.#feed.connected && leaderId !== undefined,
      self: this.#options.id,
      cluster: this.#cluster,
      rev: this.#feed.revision as Revision,
      ...(leaderId === undefined ? {} : { leader: leaderId }),
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stop.abort(closed());
    this.#feed.changed.wake();
    await this.#running;
    await this.#election.resign().catch(() => undefined);
  }

  #throwIfClosed(): void {
    if (this.#stop.signal.aborted) throw this.#stop.signal.reason as SystemError;
  }

  #watchSource(): WatchSource {
    const feed = this.#feed;
    return {
      history: () => feed.history,
      revision: () => feed.revision,
      changed: async (rev, waitMs, signal) => {
        this.#throwIfClosed();
        if (feed.revision <= rev) await this.#wait((call) => feed.changed.next(call), waitMs, signal);
        this.#throwIfClosed();
        return feed.revision > rev;
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
      signal.addEventListener("abort", done, { once: true });
      if (signal.aborted) done();
    });
  }
}

function closed(): SystemError {
  return new SystemError("control_no_leader", "Cannot use the store: it is closed");
}
