import { mayLeaveEarly, RaftCore } from "../../../control/raft/core/raft.ts";
import type { Entry, HardState, Message, NodeId, Ready, Snapshot } from "../../../control/raft/core/types.ts";
import { applyBatch, type Durable } from "../../../control/raft/log/recover.ts";
import type { Random } from "../random.ts";
import type { Invariants } from "./invariants.ts";

export interface World {
  random: Random;
  invariants: Invariants;
  send(message: Message): void;
  node(id: NodeId): SimulatedNode;
}

const KEEP_ENTRIES = 5;

/** One member: a core, and a disk that keeps exactly what was written when the write ended. */
export class SimulatedNode {
  readonly id: NodeId;
  readonly #world: World;
  readonly #durable: Durable;
  #core: RaftCore | undefined;
  #writing: Ready | undefined;
  #unsynced: HardState | undefined;
  #state = 0;
  /** As a leader: its term, and the commit index that was checked to be durable on a quorum. */
  #ledTerm = 0;
  #commit = 0;
  #applied = 0;
  #reads = new Map<string, number>();
  #lives = 0;

  constructor(id: NodeId, world: World, founding: Snapshot) {
    this.id = id;
    this.#world = world;
    this.#durable = { hardState: { term: 0, vote: null, commit: 0 }, snapshot: founding, entries: [] };
    this.start();
  }

  get up(): boolean {
    return this.#core !== undefined;
  }

  get core(): RaftCore {
    if (this.#core === undefined) throw new Error(`${this.id} is down`);
    return this.#core;
  }

  get applied(): number {
    return this.#applied;
  }

  start(): void {
    const { hardState, snapshot, entries } = structuredClone(this.#durable);
    this.#lives += 1;
    this.#core = new RaftCore(
      {
        id: this.id,
        electionTicks: 8,
        heartbeatTicks: 1,
        random: () => this.#world.random.next(),
        messageBytesMax: 200,
        inflightMessagesMax: 4,
        inflightBytesMax: 1_000,
        entryBytesMax: 1_000,
        uncommittedBytesMax: 2_000,
        committedBytesMax: 300,
        pendingReadsMax: 20,
        promoteLagMax: 5,
        snapshotTicks: 20,
      },
      { hardState, snapshot, entries },
    );
    this.#restore(snapshot);
  }

  /** The write under way is on the disk as a whole or not at all; what was not sent is never sent. */
  crash(): void {
    if (this.#writing !== undefined && this.#world.random.chance(0.5)) this.#write(this.#writing);
    this.#core = undefined;
    this.#writing = undefined;
    this.#unsynced = undefined;
    this.#reads = new Map();
  }

  /** Takes a ready, or ends the write of the one before. True when there was something to do. */
  work(): boolean {
    if (this.#writing !== undefined) this.#finish(this.#writing);
    else if (this.core.hasReady()) this.#begin(this.core.ready());
    else return false;
    this.#observe();
    return true;
  }

  step(message: Message): void {
    this.core.step(message);
    this.#observe();
  }

  tick(): void {
    this.core.tick();
    this.#observe();
  }

  read(): void {
    const context = `${this.id}-${this.#lives}-${this.#reads.size}`;
    this.#reads.set(context, this.#world.invariants.committedIndex);
    this.core.readIndex(context);
  }

  /** A snapshot of what is applied, made durable at once. */
  snapshot(): void {
    if (this.#writing !== undefined || this.#applied <= this.#durable.snapshot.index) return;
    const data = new TextEncoder().encode(String(this.#state));
    const snapshot = this.core.describeSnapshot(this.#applied, data);
    if (snapshot === null) return;
    applyBatch(this.#durable, { snapshot: { snapshot, replacesLog: false } });
    const first = this.#durable.entries.findIndex((entry) => entry.index > snapshot.index);
    this.#durable.entries = first === -1 ? [] : this.#durable.entries.slice(first);
    this.core.compact(snapshot, KEEP_ENTRIES);
  }

  has(index: number, term: number): boolean {
    const { snapshot, entries } = this.#durable;
    if (snapshot.index >= index) return true;
    return entries.some((entry) => entry.index === index && entry.term === term);
  }

  #begin(ready: Ready): void {
    this.#writing = ready;
    for (const message of ready.messages) if (mayLeaveEarly(ready, message)) this.#world.send(message);
    for (const entry of ready.committed) this.#apply(entry);
    for (const { context, index } of ready.readStates) {
      const before = this.#reads.get(context);
      if (before !== undefined) this.#world.invariants.reads(this.id, index, before);
    }
  }

  #finish(ready: Ready): void {
    this.#writing = undefined;
    this.#write(ready);
    if (ready.snapshot !== null) this.#restore(ready.snapshot);
    for (const message of ready.messages) if (!mayLeaveEarly(ready, message)) this.#world.send(message);
    this.core.advance();
    this.#checkMembership();
  }

  /** In force is what the log says, and nothing that was replaced in it. */
  #checkMembership(): void {
    const { snapshot, entries } = this.#durable;
    const { lastIndex, membership } = this.core.status();
    const last = entries.at(-1)?.index ?? snapshot.index;
    if (this.core.hasReady() || last !== lastIndex) return;
    const entry = entries.findLast((one) => one.kind === "membership" && one.index > snapshot.index);
    const written = entry?.kind === "membership" ? entry.membership : snapshot.membership;
    this.#world.invariants.membership(this.id, membership, written);
  }

  /** As the driver does: a commit index alone waits for the next write. */
  #write(ready: Ready): void {
    this.#unsynced = ready.hardState ?? this.#unsynced;
    if (!ready.mustSync) return;
    applyBatch(this.#durable, {
      entries: ready.entries,
      ...(this.#unsynced === undefined ? {} : { hardState: this.#unsynced }),
      ...(ready.snapshot === null ? {} : { snapshot: { snapshot: ready.snapshot, replacesLog: true } }),
    });
    this.#unsynced = undefined;
  }

  #apply(entry: Entry): void {
    this.#state = this.#world.invariants.applies(this.id, entry, this.#state);
    this.#applied = entry.index;
  }

  #restore(snapshot: Snapshot): void {
    this.#state = Number(new TextDecoder().decode(snapshot.data));
    this.#applied = snapshot.index;
    this.#world.invariants.restores(this.id, snapshot.index, this.#state);
  }

  #observe(): void {
    const { role, term, commit, membership } = this.core.status();
    if (role !== "leader") return;
    const { invariants } = this.#world;
    invariants.leads(this.id, term, (index) => this.core.termAt(index), this.#durable.snapshot.index);
    const before = this.#ledTerm === term ? this.#commit : commit;
    this.#ledTerm = term;
    this.#commit = commit;
    // What it knew before it led was committed under a membership that may have been another.
    if (commit === before) return;
    const entryTerm = this.core.termAt(commit)!;
    invariants.durable(commit, membership, (id) => this.#world.node(id).has(commit, entryTerm));
  }
}
