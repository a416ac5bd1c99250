import type { NodeId, Snapshot } from "../../../control/raft/core/types.ts";
import type { Clock } from "../../../control/raft/driver/clock.ts";
import { RaftStore } from "../../../control/raft/driver/raft-store.ts";
import { Replica } from "../../../control/raft/driver/replica.ts";
import { LogStore } from "../../../control/raft/log/log-store.ts";
import { SnapshotStore } from "../../../control/raft/log/snapshot-store.ts";
import type { Random } from "../random.ts";
import { SimulatedDisk } from "./disk.ts";
import { SimulatedNetwork } from "./network.ts";

interface Member {
  disk: SimulatedDisk;
  store: RaftStore | undefined;
  replica: Replica | undefined;
}

/** Members as they are in production (driver, log, snapshots, state machine) on simulated disks, network and time. */
export class SimulatedMembers {
  readonly network: SimulatedNetwork;
  readonly ids: readonly NodeId[];
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #members = new Map<NodeId, Member>();
  readonly #snapshotEvery: number;
  /** Members that stopped by themselves for another reason than a power cut. */
  readonly failures: Error[] = [];

  constructor(clock: Clock, random: Random, count: number, snapshotEvery: number, diskDelayMs: number) {
    this.#clock = clock;
    this.#random = random;
    this.#snapshotEvery = snapshotEvery;
    this.network = new SimulatedNetwork(clock, random);
    this.ids = Array.from({ length: count }, (_, i) => `m${i + 1}`);
    const pause = (): Promise<void> =>
      new Promise((resolve) => {
        clock.after(random.next() * diskDelayMs, resolve);
      });
    for (const id of this.ids) {
      const disk = diskDelayMs === 0 ? new SimulatedDisk(random) : new SimulatedDisk(random, pause);
      this.#members.set(id, { disk, store: undefined, replica: undefined });
    }
  }

  async found(): Promise<void> {
    const founding: Snapshot = {
      index: 0,
      term: 0,
      membership: { voters: this.ids, learners: [] },
      data: new Uint8Array(),
    };
    for (const id of this.ids) {
      await (
        await LogStore.create(this.#member(id).disk, { clusterId: "c", memberId: id }, founding, 4_000)
      ).close();
    }
  }

  store(id: NodeId): RaftStore | undefined {
    return this.#member(id).store;
  }

  leads(id: NodeId): boolean {
    return this.#member(id).replica?.leadership().leader === true;
  }

  async start(id: NodeId): Promise<void> {
    const member = this.#member(id);
    const { log, durable } = await LogStore.open(member.disk, 4_000);
    member.replica = await Replica.start({
      log,
      durable,
      snapshots: new SnapshotStore(member.disk),
      transport: this.network.transport(id),
      clock: this.#clock,
      random: () => this.#random.next(),
      url: `http://${id}`,
      snapshotEvery: this.#snapshotEvery,
      onFailure: (error) => {
        if (member.replica !== undefined) this.failures.push(error);
      },
    });
    member.store = new RaftStore(member.replica, this.#clock, () => {});
  }

  /** As kill -9 and a power cut together. */
  crash(id: NodeId): void {
    const member = this.#member(id);
    const { replica } = member;
    if (replica === undefined) return;
    member.replica = undefined;
    member.store = undefined;
    member.disk.cut();
    this.network.detach(id);
    void replica.close().catch(() => {});
  }

  async restart(id: NodeId): Promise<void> {
    this.#member(id).disk.restart();
    await this.start(id);
  }

  #member(id: NodeId): Member {
    return this.#members.get(id)!;
  }
}
