import type { Message, NodeId } from "../../../control/raft/core/types.ts";
import { Random } from "../random.ts";
import { Invariants, Violation } from "./invariants.ts";
import { SimulatedNode, type World } from "./node.ts";

export const COUNTERS = [
  "dropped",
  "duplicated",
  "partitions",
  "oneWayPartitions",
  "crashes",
  "elections",
  "proposals",
  "reads",
  "snapshots",
  "snapshotsSent",
  "transfers",
  "membershipChanges",
  "rejections",
  "late",
  "unreachable",
  "isolations",
  "crashesOfVoters",
] as const;
export type Coverage = Record<(typeof COUNTERS)[number], number>;

const ALL = ["a", "b", "c", "d", "e"] as const;
const FOUNDERS = ["a", "b", "c"];
type Activity = "tick" | "deliver" | "work" | "use" | "fault";
type Fault = "isolate" | "crash" | "start" | "partition" | "cut" | "join" | "transfer" | "membership";
const MESSAGES_MAX = 400;
const LATE_MAX = 40;

/** Five members, three of them founders, under a seeded stream of faults. */
export class SimulatedCluster implements World {
  readonly random: Random;
  readonly invariants = new Invariants();
  readonly coverage: Coverage;
  readonly #nodes = new Map<NodeId, SimulatedNode>();
  #network: Message[] = [];
  /** Messages that come when nobody thinks of them any more. */
  #late: Message[] = [];
  /** Members that crash right after they have voted. */
  #doomed: NodeId[] = [];
  /** `from>to` pairs that deliver nothing. */
  #cut = new Set<string>();
  #faulty = true;
  readonly #climate: [Activity, number][];
  readonly #faults: [Fault, number][];
  readonly #loss: number;
  readonly #lateness: number;
  /** How likely a member's disk keeps it waiting. */
  readonly #slowness = new Map<NodeId, number>();
  /** How likely a member misses a tick that others have. */
  readonly #drift = new Map<NodeId, number>();
  #proposed = 0;

  constructor(seed: number, coverage: Coverage) {
    this.random = new Random(seed);
    this.coverage = coverage;
    this.#climate = this.#weights({ tick: 24, deliver: 40, work: 40, use: 12, fault: 1.2 });
    this.#faults = this.#weights({
      crash: 3,
      isolate: 3,
      start: 3,
      partition: 2,
      cut: 1,
      join: 3,
      transfer: 1,
      membership: 16,
    });
    this.#loss = this.random.next() * 0.15;
    this.#lateness = this.random.chance(0.5) ? this.random.next() * 0.1 : 0;
    const data = new TextEncoder().encode("0");
    for (const id of ALL) {
      this.#drift.set(id, this.random.chance(0.3) ? this.random.next() : 0);
      this.#slowness.set(id, this.random.chance(0.3) ? this.random.next() : 0);
      const voters = FOUNDERS.includes(id) ? FOUNDERS : [];
      const founding = { index: 0, term: 0, membership: { voters, learners: [] }, data };
      this.#nodes.set(id, new SimulatedNode(id, this, founding));
    }
  }

  node(id: NodeId): SimulatedNode {
    return this.#nodes.get(id)!;
  }

  send(message: Message): void {
    if (message.kind === "snapshot") this.coverage.snapshotsSent += 1;
    if (message.kind === "append_rejected") this.coverage.rejections += 1;
    if (message.kind === "vote") this.coverage.elections += 1;
    if (message.kind === "vote_response" && message.granted && this.#faulty && this.random.chance(0.1)) {
      this.#doomed.push(message.from);
    }
    this.#network.push(message);
    if (this.#network.length > MESSAGES_MAX) this.#network.shift();
  }

  /** One step of the storm. */
  step(): void {
    const node = this.random.pick([...this.#nodes.values()]);
    this.#strike();
    switch (this.#pick(this.#climate)) {
      case "tick":
        if (node.up && !this.random.chance(this.#drift.get(node.id)!)) node.tick();
        break;
      case "deliver":
        for (let i = 0; i < 3; i++) this.#deliver();
        break;
      case "work":
        if (node.up && !this.random.chance(this.#slowness.get(node.id)!)) node.work();
        break;
      case "use":
        this.#use(node);
        break;
      case "fault":
        this.#fault(node);
        break;
    }
  }

  /** All faults end; within bounded time everything proposed now is committed and every member has it. */
  heal(): void {
    this.#faulty = false;
    this.#network.push(...this.#late.splice(0));
    this.#cut.clear();
    for (const node of this.#nodes.values()) if (!node.up) node.start();
    for (let round = 0; round < 400; round++) {
      for (const node of this.#nodes.values()) node.tick();
      if (round > 100 && round % 10 === 0) this.#propose();
      this.#settle();
      if (this.#converged(round)) return;
    }
    throw new Violation("the members did not agree within 400 ticks after the last fault");
  }

  #converged(round: number): boolean {
    if (round < 200) return false;
    const leader = [...this.#nodes.values()].find((node) => node.core.status().role === "leader");
    if (leader === undefined || this.#proposed === 0) return false;
    const { membership, lastIndex } = leader.core.status();
    const members = [...membership.voters, ...membership.learners];
    return lastIndex > 0 && members.every((id) => this.node(id).applied === lastIndex);
  }

  #settle(): void {
    for (let turn = 0; turn < 2_000; turn++) {
      let busy = false;
      for (const node of this.#nodes.values()) busy = node.work() || busy;
      for (const message of this.#network.splice(0)) {
        busy = true;
        this.node(message.to).step(message);
      }
      if (!busy) return;
    }
    throw new Violation("the members keep talking without end");
  }

  #deliver(): void {
    if (this.#late.length > 0 && this.random.chance(0.02)) {
      const [message] = this.#late.splice(this.random.below(this.#late.length), 1);
      if (message !== undefined && this.node(message.to).up) this.node(message.to).step(message);
    }
    if (this.#network.length === 0) return;
    const at = this.random.below(this.#network.length);
    const message = this.#network[at]!;
    if (this.random.chance(0.05)) this.coverage.duplicated += 1;
    else this.#network.splice(at, 1);
    if (this.random.chance(this.#lateness) && this.#late.length < LATE_MAX) {
      this.#late.push(message);
      this.coverage.late += 1;
      return;
    }
    const lost = this.#cut.has(`${message.from}>${message.to}`) || this.random.chance(this.#loss);
    const target = this.node(message.to);
    if (lost || !target.up) {
      this.coverage.dropped += 1;
      const sender = this.node(message.from);
      if (!sender.up || !this.random.chance(0.3)) return;
      this.coverage.unreachable += 1;
      sender.core.reportUnreachable(message.to);
    } else target.step(message);
  }

  /** Who crashes right after a vote must still know it when it is back. */
  #strike(): void {
    for (const id of this.#doomed.splice(0)) {
      const node = this.node(id);
      if (!node.up) continue;
      node.crash();
      node.start();
      this.coverage.crashesOfVoters += 1;
    }
  }

  /** A leader that hears nobody goes on for a while: what it appends and changes then is replaced later. */
  #isolate(): void {
    for (const node of this.#nodes.values()) {
      if (!node.up || node.core.status().role !== "leader") continue;
      this.coverage.isolations += 1;
      this.#cut.clear();
      for (const other of ALL) {
        this.#cut.add(`${node.id}>${other}`);
        if (this.random.chance(0.8)) this.#cut.add(`${other}>${node.id}`);
      }
      this.#change(node, this.random.pick(ALL));
      for (let i = this.random.below(6); i > 0; i--) node.core.propose(new Uint8Array(20));
      if (!this.random.chance(0.3)) continue;
      // Its snapshot must not know of the change, which is on its disk but not committed.
      node.work();
      node.work();
      node.snapshot();
      node.crash();
      node.start();
    }
  }

  #use(node: SimulatedNode): void {
    const dice = this.random.next();
    if (dice < 0.5) this.#propose();
    else if (dice < 0.85) {
      // Of everyone who believes to lead, so that a leader whose time is over is asked too.
      for (const other of this.#nodes.values()) {
        if (!other.up || (other !== node && other.core.status().role !== "leader")) continue;
        other.read();
        this.coverage.reads += 1;
      }
    } else if (node.up) {
      node.snapshot();
      this.coverage.snapshots += 1;
    }
  }

  #propose(): void {
    for (const node of this.#nodes.values()) {
      if (!node.up || node.core.status().role !== "leader") continue;
      // Now and then a burst, so that a deposed leader leaves a long tail behind.
      if (this.#faulty && this.random.chance(0.1))
        for (let i = 0; i < 8; i++) node.core.propose(new Uint8Array(90));
      const data = new TextEncoder().encode(`p${this.#proposed}`.padEnd(20 + this.random.below(60), "."));
      if (node.core.propose(data).accepted) {
        this.#proposed += 1;
        this.coverage.proposals += 1;
      }
    }
  }

  #fault(node: SimulatedNode): void {
    if (!this.#faulty) return;
    switch (this.#pick(this.#faults)) {
      case "crash":
        if (!node.up) return;
        node.crash();
        this.coverage.crashes += 1;
        break;
      case "start":
        for (const other of this.#nodes.values()) if (!other.up) other.start();
        break;
      case "isolate":
        this.#isolate();
        break;
      case "partition":
        this.#partition();
        break;
      case "cut":
        this.#cut.add(`${node.id}>${this.random.pick(ALL)}`);
        this.coverage.oneWayPartitions += 1;
        break;
      case "join":
        this.#cut.clear();
        break;
      case "transfer":
        this.#transfer();
        break;
      case "membership":
        this.#changeMembership();
        break;
    }
  }

  /** Weights drawn per seed: storms that do much of one thing and little of another meet what even ones never do. */
  #weights<T extends string>(least: Record<T, number>): [T, number][] {
    return (Object.entries(least) as [T, number][]).map(([name, weight]) => {
      return [name, weight * 2.5 ** (this.random.next() * 2 - 1)];
    });
  }

  #pick<T extends string>(weights: [T, number][]): T {
    let at = this.random.next() * weights.reduce((sum, [, weight]) => sum + weight, 0);
    return (weights.find(([, weight]) => (at -= weight) < 0) ?? weights[0]!)[0];
  }

  #partition(): void {
    this.#cut.clear();
    this.coverage.partitions += 1;
    const side = new Set(ALL.filter(() => this.random.chance(0.5)));
    for (const from of ALL) {
      for (const to of ALL) if (side.has(from) !== side.has(to)) this.#cut.add(`${from}>${to}`);
    }
  }

  #transfer(): void {
    for (const node of this.#nodes.values()) {
      if (node.up && node.core.transferLeader(this.random.pick(ALL))) this.coverage.transfers += 1;
    }
  }

  #changeMembership(): void {
    const id = this.random.pick(ALL);
    for (const node of this.#nodes.values()) {
      if (node.up) this.#change(node, id);
    }
  }

  #change(node: SimulatedNode, id: NodeId): void {
    const { voters, learners } = node.core.status().membership;
    const kind = voters.includes(id) ? "remove" : learners.includes(id) ? "promote" : "add_learner";
    if (node.core.proposeMembership({ kind, id }).accepted) this.coverage.membershipChanges += 1;
  }
}
