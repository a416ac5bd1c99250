import { limits } from "../../shared/limits.ts";
import type { Clock } from "../raft/driver/clock.ts";
import { Wake } from "../store/wake.ts";
import type { EtcdClient } from "./client.ts";
import type { Layout } from "./layout.ts";
import type { Origin } from "./origin.ts";
import {
  fromBase64,
  keepAliveSchema,
  leaseSchema,
  rangeSchema,
  toBase64,
  txnSchema,
  unchangedSince,
} from "./wire.ts";
import { z } from "zod";

export interface ElectionParts {
  client: EtcdClient;
  layout: Layout;
  origin: Origin;
  clock: Clock;
  id: string;
  /** Where this replica answers. */
  url: string;
  /** Subscribes to changes of the leader's key. */
  leaderChanged: Wake;
}

/**
 * Who leads, by a key on a lease. A leader counts itself as one only until its lease may have run out, measured on its own clock from
 * when the last renewal that was answered was sent; what it then still tries fails by its compares.
 */
export class Election {
  readonly changed = new Wake();
  readonly #parts: ElectionParts;
  #lease: string | undefined;
  #validUntilMs = 0;
  #term = 0;
  #leads = false;
  #leaderId: string | undefined;

  constructor(parts: ElectionParts) {
    this.#parts = parts;
  }

  get state(): { leader: boolean; term: number } {
    const leader = this.#leads && this.#parts.clock.now() < this.#validUntilMs;
    return { leader, term: this.#term };
  }

  get leaderId(): string | undefined {
    return this.#leaderId;
  }

  /** One round: resolves when it is known who leads. @throws what etcd says */
  async settle(): Promise<void> {
    await this.#renew();
    await this.#stand();
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#wait(signal);
      if (signal.aborted) return;
      const before = JSON.stringify([this.state, this.#leaderId]);
      // Without an answer the lease runs out by itself.
      await this.settle().catch(() => undefined);
      if (JSON.stringify([this.state, this.#leaderId]) !== before) this.changed.wake();
    }
  }

  /** The next one need not wait for the lease to run out. */
  async resign(): Promise<void> {
    const { client } = this.#parts;
    this.#leads = false;
    if (this.#lease !== undefined) await client.read("/v3/lease/revoke", { ID: this.#lease }, z.unknown());
  }

  async #renew(): Promise<void> {
    const { client, clock } = this.#parts;
    const sentMs = clock.now();
    if (this.#lease !== undefined) {
      const { result } = await client.read("/v3/lease/keepalive", { ID: this.#lease }, keepAliveSchema);
      if (result !== undefined && result.TTL > 0) {
        this.#validUntilMs = sentMs + result.TTL * 1_000;
        return;
      }
      this.#lease = undefined;
      this.#leads = false;
    }
    const granted = await client.read(
      "/v3/lease/grant",
      { TTL: String(limits.etcdLeaseSeconds) },
      leaseSchema,
    );
    this.#lease = granted.ID;
    this.#validUntilMs = sentMs + granted.TTL * 1_000;
  }

  async #stand(): Promise<void> {
    const { client, layout, origin, id, url } = this.#parts;
    const lease = this.#lease ?? "0";
    const request = {
      compare: [origin.unchanged, unchangedSince(layout.leader, 0)],
      success: [
        { request_put: { key: layout.leader, value: toBase64(JSON.stringify({ id, lease })), lease } },
        { request_put: { key: layout.replica(id), value: toBase64(url), lease } },
      ],
      failure: [
        { request_range: { key: layout.leader } },
        { request_put: { key: layout.replica(id), value: toBase64(url), lease } },
      ],
    };
    const { succeeded, header, responses } = await client.read("/v3/kv/txn", request, txnSchema);
    const kv = responses[0]?.response_range?.kvs[0];
    const holder =
      kv === undefined ? undefined : (JSON.parse(fromBase64(kv.value)) as { id: string; lease: string });
    this.#leads = succeeded || holder?.lease === lease;
    this.#leaderId = this.#leads ? id : holder?.id;
    this.#term = succeeded ? header.revision : (kv?.create_revision ?? this.#term);
  }

  /** All replicas with a lease that runs. */
  async replicas(): Promise<{ id: string; url: string }[]> {
    const { client, layout } = this.#parts;
    const prefix = layout.replicas;
    const end = `${prefix.slice(0, -1)}0`;
    const request = { key: toBase64(prefix), range_end: toBase64(end) };
    const { kvs } = await client.read("/v3/kv/range", request, rangeSchema);
    return kvs.map((kv) => ({ id: fromBase64(kv.key).slice(prefix.length), url: fromBase64(kv.value) }));
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        unsubscribe();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const cancel = this.#parts.clock.after((limits.etcdLeaseSeconds * 1_000) / 6, done);
      const unsubscribe = this.#parts.leaderChanged.next(done);
      signal.addEventListener("abort", done, { once: true });
      if (signal.aborted) done();
    });
  }
}
