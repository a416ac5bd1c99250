/** One member at work: the event loop around core, log and state machine. */
import { SystemError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import { decodeCommand } from "../../store/command.ts";
import type { Member, MemberChange } from "../../store/contract.ts";
import type { StoredResult } from "../../store/remembered-results.ts";
import { StateMachine } from "../../store/state-machine.ts";
import { Wake } from "../../store/wake.ts";
import { entryBytes } from "../core/raft-log.ts";
import { mayLeaveEarly, RaftCore } from "../core/raft.ts";
import type { Entry, HardState, Membership, Message, NodeId, Ready, Snapshot } from "../core/types.ts";
import type { Batch } from "../log/batch.ts";
import { snapshotBytes, snapshotHash } from "../log/snapshot-store.ts";
import { changeMembers, type Group, membersOf, transferLeader } from "./member-changes.ts";
import { Proposals, refused, unknownFate } from "./proposals.ts";
import { ReadBarrier } from "./read-barrier.ts";
import type { ReplicaParts } from "./replica-parts.ts";
import { LogGrowth } from "./snapshot-cadence.ts";
import type { SentSnapshot } from "./transport.ts";

export class Replica {
  readonly machine = new StateMachine();
  readonly applied = new Wake();
  readonly leadershipChanged = new Wake();
  readonly #parts: ReplicaParts;
  readonly #core: RaftCore;
  readonly #proposals = new Proposals();
  readonly #reads: ReadBarrier;
  readonly #stop = new AbortController();
  #stopped: SystemError | undefined;
  #appliedIndex = 0;
  #appliedTerm = 0;
  #told = "";
  #toldMembership: Membership | undefined;
  /** Changed without need of an fsync: goes out with the next batch that has one. */
  #hardState: HardState | undefined;
  #pump: Promise<void> | undefined;
  #snapshotting: Promise<void> | undefined;
  /** Taken here, on disk, not yet in the log. */
  #taken: Snapshot | undefined;
  #newestSnapshot: number;
  readonly #growth: LogGrowth;
  #receiving: Promise<void> | undefined;
  #cancelTick: () => void = () => {};

  private constructor(parts: ReplicaParts) {
    this.#parts = parts;
    this.#core = new RaftCore({ id: parts.log.identity.memberId, random: parts.random }, parts.durable);
    const nonce = `${parts.log.identity.memberId}-${Math.floor(parts.random() * 2 ** 48).toString(36)}`;
    const retryMs = limits.raftTickMs * limits.raftElectionTicks;
    this.#reads = new ReadBarrier((context) => this.#core.readIndex(context), nonce, retryMs);
    this.#newestSnapshot = parts.durable.snapshot.index;
    this.#growth = new LogGrowth(parts.cadence, snapshotBytes(parts.durable.snapshot));
  }

  /** @throws SystemError `log_corrupt` when the snapshot is damaged */
  static async start(parts: ReplicaParts): Promise<Replica> {
    const replica = new Replica(parts);
    await replica.#restore(parts.durable.snapshot);
    parts.transport.start({
      message: (message, chunks) => replica.#receive(message, chunks),
      propose: (command) => replica.#proposeHere(command),
      unreachable: (id) => replica.#input(() => replica.#core.reportUnreachable(id)),
      address: (id, url) => replica.#learnAddress(id, url),
    });
    replica.#tellMembers();
    const { voters } = replica.#core.status().membership;
    if (voters.length === 1) replica.#input(() => replica.#core.campaign());
    replica.#scheduleTick();
    return replica;
  }

  /**
   * Resolves with the result once the leader (this member or another) has applied the txn.
   * @throws SystemError `control_no_leader` (certainly not applied) or `control_state_unknown`
   */
  async propose(command: Uint8Array, signal?: AbortSignal): Promise<StoredResult> {
    this.throwIfStopped();
    const { role } = this.#core.status();
    if (role === "leader") return this.#proposeHere(command, signal);
    const leader = await this.#knownLeader(signal);
    if (leader === this.#parts.log.identity.memberId) return this.#proposeHere(command, signal);
    const stop = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    return this.#parts.transport.propose(leader, command, stop).catch((error: unknown) => {
      throw error instanceof SystemError ? error : unknownFate("the leader did not answer", error);
    });
  }

  /** Resolves when the machine holds all that was acknowledged before the call. */
  barrier(): Promise<void> {
    const now = this.#parts.clock.now();
    const done = this.#reads.wait(now, now + limits.controlRequestMs);
    this.#kick();
    return done;
  }

  /** Leading counts from when this member's own state is current: everything that its predecessors acknowledged is applied. */
  leadership(): { leader: boolean; term: number } {
    const { role, term } = this.#core.status();
    return { leader: this.#stopped === undefined && role === "leader" && this.#appliedTerm === term, term };
  }

  members(): Member[] {
    return membersOf(this.#core.status(), this.#parts.url);
  }

  /** As `ReplicatedStore.changeMembers`. */
  async changeMembers(change: MemberChange, command?: Uint8Array): Promise<Member[]> {
    await changeMembers(this.#group(), change, this.#parts.url, command);
    return this.members();
  }

  /** As `ReplicatedStore.transferLeader`. */
  transferLeader(to: NodeId): Promise<void> {
    return transferLeader(this.#group(), to);
  }

  health(): { ok: boolean; self: NodeId; leader?: string; cluster: string } {
    const { id: self, leader } = this.#core.status();
    const ok = this.#stopped === undefined && leader !== null;
    const cluster = this.#parts.log.identity.clusterId;
    return leader === null ? { ok, self, cluster } : { ok, self, cluster, leader };
  }

  /** It is the only member. */
  get alone(): boolean {
    const { id, membership } = this.#core.status();
    return membership.voters.length === 1 && membership.voters[0] === id && membership.learners.length === 0;
  }

  get stopped(): boolean {
    return this.#stopped !== undefined;
  }

  throwIfStopped(): void {
    if (this.#stopped !== undefined) throw this.#stopped;
  }

  /** Waits for the write under way; what is not acknowledged by then is of unknown fate. */
  async close(): Promise<void> {
    this.#halt(new SystemError("control_no_leader", "Cannot use the store: it is closed"));
    await this.#pump;
    await this.#snapshotting;
    await this.#receiving;
    await this.#parts.transport.close();
    await this.#parts.log.close();
  }

  async #proposeHere(command: Uint8Array, signal?: AbortSignal): Promise<StoredResult> {
    this.throwIfStopped();
    const proposed = this.#core.propose(command);
    if (!proposed.accepted) throw refused(proposed.reason);
    const deadline = this.#parts.clock.now() + limits.controlRequestMs;
    const result = this.#proposals.add(proposed, deadline, signal);
    this.#kick();
    return result;
  }

  /** Waits out an election: it is over in less time than a caller's retry would take. */
  async #knownLeader(signal: AbortSignal | undefined): Promise<NodeId> {
    const { clock } = this.#parts;
    const deadline = clock.now() + limits.controlRequestMs;
    for (;;) {
      this.throwIfStopped();
      const { leader } = this.#core.status();
      if (leader !== null) return leader;
      if (signal?.aborted === true || clock.now() >= deadline) throw refused("no leader is known");
      await this.#nextTick();
    }
  }

  /** Until the next tick's time, or until who leads has changed. */
  #nextTick(): Promise<void> {
    return new Promise((resolve) => {
      const cancelTimer = this.#parts.clock.after(limits.raftTickMs, done);
      const cancelWake = this.leadershipChanged.next(done);
      function done(): void {
        cancelTimer();
        cancelWake();
        resolve();
      }
    });
  }

  #group(): Group {
    const { clock } = this.#parts;
    return {
      core: this.#core,
      throwIfStopped: () => this.throwIfStopped(),
      changed: () => this.#kick(),
      nextTick: () => this.#nextTick(),
      now: () => clock.now(),
      committed: async (position) => {
        const deadlineMs = clock.now() + limits.controlRequestMs;
        await this.#proposals.add(position, deadlineMs, this.#stop.signal);
      },
    };
  }

  /** Only the leader writes it down; a refusal means that it will be told again. */
  #learnAddress(id: NodeId, url: string): void {
    const { role, membership } = this.#core.status();
    const member = membership.voters.includes(id) || membership.learners.includes(id);
    if (role !== "leader" || !member || membership.addresses?.[id] === url) return;
    this.#input(() => this.#core.proposeMembership({ kind: "address", id, address: url }));
  }

  #tellMembers(): void {
    const { membership } = this.#core.status();
    if (membership === this.#toldMembership) return;
    this.#toldMembership = membership;
    const known = [...membership.voters, ...membership.learners];
    // One that joins knows addresses before it has heard of any membership.
    const ids = known.length > 0 ? known : Object.keys(membership.addresses ?? {});
    this.#parts.transport.members(new Map(ids.map((id) => [id, membership.addresses?.[id]])));
  }

  #input(change: () => void): void {
    if (this.#stopped !== undefined) return;
    try {
      change();
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#kick();
  }

  #receive(message: Message, chunks: readonly Uint8Array[] | undefined): void {
    if (message.kind !== "snapshot" || message.snapshot.index <= this.#core.status().commit) {
      this.#input(() => this.#core.step(message));
      return;
    }
    // One at a time; what is dropped here is sent again when it is still needed.
    if (chunks === undefined || this.#receiving !== undefined || this.#stopped !== undefined) return;
    this.#receiving = this.#parts.snapshots
      .save(message.snapshot, chunks, this.#stop.signal)
      .then((data) => {
        const snapshot = { ...message.snapshot, data };
        this.#input(() => this.#core.step({ ...message, snapshot }));
      })
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#receiving = undefined;
      });
  }

  /** A tick that comes late counts once: a stalled event loop must not look like a silent leader. */
  #scheduleTick(): void {
    this.#cancelTick = this.#parts.clock.after(limits.raftTickMs, () => {
      const now = this.#parts.clock.now();
      this.#proposals.expire(now);
      this.#input(() => {
        this.#core.tick();
        this.#reads.tick(now);
      });
      if (this.#stopped === undefined) this.#scheduleTick();
    });
  }

  /** Starts the pump in a microtask, so that everything proposed in this turn shares one write. */
  #kick(): void {
    this.#pump ??= Promise.resolve()
      .then(() => this.#run())
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#pump = undefined;
        if (this.#stopped === undefined && this.#hasWork()) this.#kick();
      });
  }

  #hasWork(): boolean {
    return this.#core.hasReady() || this.#taken !== undefined;
  }

  async #run(): Promise<void> {
    while (this.#stopped === undefined && this.#hasWork()) {
      if (this.#core.hasReady()) await this.#step(this.#core.ready());
      await this.#recordSnapshot();
      this.#tellMembers();
      this.#tellLeadership();
    }
  }

  async #step(ready: Ready): Promise<void> {
    const early = ready.messages.filter((message) => mayLeaveEarly(ready, message));
    for (const message of early) this.#send(message);
    this.#apply(ready.committed);
    for (const { context, index } of ready.readStates) this.#reads.confirmed(context, index);
    this.#reads.reached(this.#appliedIndex, this.#parts.clock.now());
    await this.#persist(ready);
    if (ready.snapshot !== null) await this.#restore(ready.snapshot);
    for (const message of ready.messages) {
      if (!mayLeaveEarly(ready, message)) this.#send(message);
    }
    this.#core.advance();
    if (this.#growth.due) this.#takeSnapshot();
  }

  async #persist(ready: Ready): Promise<void> {
    this.#hardState = ready.hardState ?? this.#hardState;
    if (!ready.mustSync) return;
    const batch: Batch = { entries: ready.entries };
    if (this.#hardState !== undefined) batch.hardState = this.#hardState;
    if (ready.snapshot !== null) batch.snapshot = { snapshot: ready.snapshot, replacesLog: true };
    this.#hardState = undefined;
    await this.#parts.log.append(batch);
  }

  #apply(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    for (const entry of entries) {
      const result = this.#applyOne(entry);
      this.#growth.applied(entryBytes(entry));
      this.#appliedIndex = entry.index;
      this.#appliedTerm = entry.term;
      this.#proposals.applied(entry, result);
    }
    this.applied.wake();
  }

  #applyOne(entry: Entry): StoredResult | undefined {
    if (entry.kind === "noop") return undefined;
    if (entry.data !== undefined) return this.machine.apply(decodeCommand(entry.data));
    return { ok: true, rev: this.machine.revision };
  }

  async #restore(snapshot: Snapshot): Promise<void> {
    if (snapshot.data.length > 0) await this.machine.restore(this.#read(snapshot));
    this.#appliedIndex = snapshot.index;
    this.#appliedTerm = snapshot.term;
    this.#newestSnapshot = snapshot.index;
    this.#growth.taken();
    this.#growth.written(snapshotBytes(snapshot));
    this.#proposals.skippedTo(snapshot.index);
    this.applied.wake();
  }

  #takeSnapshot(): void {
    if (this.#snapshotting !== undefined) return;
    // The position and the state are of this very turn; the writing may take its time.
    const described = this.#core.describeSnapshot(this.#appliedIndex, new Uint8Array());
    if (described === null) return;
    this.#newestSnapshot = described.index;
    this.#growth.taken();
    const chunks = this.machine.snapshot();
    this.#snapshotting = this.#parts.snapshots
      .save(described, chunks, this.#stop.signal)
      .then((data) => {
        this.#taken = { ...described, data };
        this.#kick();
      })
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#snapshotting = undefined;
      });
  }

  /** The log names the snapshot before anything that it replaces goes. */
  async #recordSnapshot(): Promise<void> {
    const snapshot = this.#taken;
    if (snapshot === undefined) return;
    this.#taken = undefined;
    if (snapshot.index < this.#newestSnapshot) return;
    this.#growth.written(snapshotBytes(snapshot));
    await this.#parts.log.append({ snapshot: { snapshot, replacesLog: false } });
    this.#core.compact(snapshot, this.#parts.keep.entries, this.#parts.keep.bytes);
    await this.#parts.log.compact(snapshot.index);
    await this.#parts.snapshots.removeBefore(snapshot);
  }

  #send(message: Message): void {
    if (message.kind === "snapshot") {
      this.#parts.transport.send(message, () => this.#chunksOf(message.to, message.snapshot));
    } else {
      this.#parts.transport.send(message);
    }
  }

  /** A newer snapshot may remove this one's file before it is read: then the newer one is to be sent, without waiting for an answer. */
  async #chunksOf(to: NodeId, snapshot: Snapshot): Promise<SentSnapshot | undefined> {
    try {
      return { sha256: snapshotHash(snapshot), chunks: await Array.fromAsync(this.#read(snapshot)) };
    } catch (error) {
      if (this.#newestSnapshot <= snapshot.index) throw error;
      this.#input(() => this.#core.reportSnapshot(to, false));
      return undefined;
    }
  }

  /** Ends with this member. */
  async *#read(snapshot: Snapshot): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of this.#parts.snapshots.load(snapshot)) {
      this.throwIfStopped();
      yield chunk;
    }
  }

  #tellLeadership(): void {
    const { leader, term } = this.leadership();
    const now = `${term} ${leader} ${this.#core.status().leader}`;
    if (now === this.#told) return;
    this.#told = now;
    this.leadershipChanged.wake();
  }

  /** The disk did not do what it must, or an invariant broke: nothing may be acknowledged any more. */
  #fail(cause: unknown): void {
    if (this.#stopped !== undefined) return;
    const error =
      cause instanceof SystemError
        ? cause
        : new SystemError("internal", "Cannot go on with the control log: this member stopped", { cause });
    this.#halt(error);
    this.#parts.onFailure(error);
  }

  #halt(error: SystemError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    this.#cancelTick();
    this.#stop.abort();
    this.#proposals.rejectAll(unknownFate("this member stopped", error));
    this.#reads.rejectAll(error);
    this.applied.wake();
    this.leadershipChanged.wake();
  }
}
