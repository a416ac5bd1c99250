/**
 * ReplicatedStore: the contract that control's domain stands on, shaped like etcd's key-value API. Engines: raft (ours), etcd.
 * The suite in contract.suite.ts is the specification and runs on every engine.
 */
import type { Revision } from "../../shared/ids.ts";

export interface Kv {
  key: string;
  /** JSON-compatible; engines store it opaquely and return an equal copy. */
  value: unknown;
  /** Revision of the key's last change. */
  modRev: Revision;
}

export type Op = { kind: "put"; key: string; value: unknown } | { kind: "delete"; key: string };

export interface Txn {
  /** All must hold. modRev 0: the key must not exist. */
  cmp: { key: string; modRev: Revision }[];
  then: Op[];
  /** For exactly-once retry: a txn whose id was applied before returns its first result again. */
  id: string;
}

export type TxnResult = { ok: true; rev: Revision } | { ok: false; rev: Revision; seen: Kv[] };

export type Change = { rev: Revision; kind: "put"; kv: Kv } | { rev: Revision; kind: "delete"; key: string };

export interface RangeOptions {
  /** Keys strictly after this one. */
  from?: string;
  limit?: number;
  /** May be answered from this replica's memory without asking the leader. */
  stale?: boolean;
}

export interface Member {
  id: string;
  url: string;
  role: "leader" | "follower" | "learner";
}

export type MemberChange =
  /** As a learner, which votes once it is promoted. */
  { kind: "add"; id: string; url: string } | { kind: "promote"; id: string } | { kind: "remove"; id: string };

/**
 * Errors: SystemError `control_no_leader` and `overloaded` (certainly not applied), `control_state_unknown` (may have applied:
 * retry with the same id), `internal` and `disk_full` (this member stopped: its disk failed). UserError `invalid_body` or
 * `too_large` for a txn that no engine could apply. `watch` throws Compacted when `fromRev` is older than the kept history.
 */
export interface ReplicatedStore {
  txn(txn: Txn, signal?: AbortSignal): Promise<TxnResult>;
  get(key: string, options?: { stale?: boolean }): Promise<Kv | undefined>;
  /** In byte order of the key. Linearizable unless stale. */
  range(prefix: string, options?: RangeOptions): Promise<{ kvs: Kv[]; next?: string; rev: Revision }>;
  /** Every change with revision > fromRev under the prefix, in order, all changes of one revision together; progress now and then. */
  watch(
    prefix: string,
    fromRev: Revision,
    signal: AbortSignal,
  ): AsyncIterable<Change[] | { progress: Revision }>;
  /** The present state at once, then every change. Who leads runs the sweepers. */
  leadership(signal: AbortSignal): AsyncIterable<{ leader: boolean; term: number }>;
  members(): Promise<Member[]>;
  /**
   * One change at a time, on the leader; resolves when it is committed, and `and` applied with it: both or neither happen. UserError
   * `conflict` when it cannot be made now or at all, SystemError `control_no_leader`, `control_state_unknown`.
   */
  changeMembers(change: MemberChange, and?: Omit<Txn, "cmp">): Promise<Member[]>;
  /** On the leader: resolves when another leads. UserError `conflict`, SystemError `control_no_leader`. */
  transferLeader(to: string): Promise<void>;
  /** `self`: this member; `cluster`: whose members answer for one another. */
  health(): Promise<{ ok: boolean; self: string; leader?: string; cluster: string; rev: Revision }>;
  close(): Promise<void>;
}

/** The history before the asked revision is gone: take a snapshot with `range` and watch from its revision. */
export class Compacted extends Error {
  override readonly name = "Compacted";
  readonly oldest: Revision;
  constructor(oldest: Revision) {
    super(`Cannot watch from that revision: history starts at ${oldest}`);
    this.oldest = oldest;
  }
}
