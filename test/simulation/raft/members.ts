import type { NodeId, Snapshot } from "../../../control/raft/core/types.ts";
import type { Clock } from "../../../control/raft/driver/clock.ts";
import { RaftStore } from "../../../control/raft/driver/raft-store.ts";
import { Replica } from "../../../control/raft/driver/replica.ts";
import type { SnapshotCadence } from "../../../control/raft/driver/snapshot-cadence.ts";
import { LogStore } from "../../../control/raft/log/log-store.ts";
import { SnapshotStore } from "../../../control/raft/log/snapshot-store.ts";
import { limits } from "../../../shared/limits.ts";
import type { Random } from "../random.ts";
import { SimulatedDisk } from "./disk.ts";
import { SimulatedNetwork } from "./network.ts";

interface Member {
  disk: SimulatedDisk;
  store: RaftStore | undefined;
  replica: Replica | undefined;
}

export interface SimulatedMembersOptions {
  count: number;
  /** Entries between snapshots. */
  snapshotEvery: number;
  /** Otherwise as in production, not how large the state is. */
  cadence?: Omit<SnapshotCadence, "entries">;
  /** Entries kept behind a snapshot: who is further behind catches up by the snapshot. */
  keepEntries?: number;
  keepBytes?: number;
  /** Each operation of a disk takes up to this long. */
  diskDelayMs?: number;
  /** Small by default, so that there are many segments. */
  segmentBytes?: number;
  snapshots?: (disk: SimulatedDisk) => SnapshotStore;
}

/** Members as they are in production (driver, log, snapshots, state machine) on simulated disks, network and time. */
export class SimulatedMembers {
  readonly network: SimulatedNetwork;
  readonly ids: readonly NodeId[];
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #members = new Map<NodeId, Member>();
  readonly #options: SimulatedMembersOptions;
  /** Members that stopped by themselves for another reason than a power cut. */
  readonly failures: Error[] = [];

  constructor(clock: Clock, random: Random, options: SimulatedMembersOptions) {
    const { count, diskDelayMs = 0 } = options;
    this.#clock = clock;
    this.#random = random;
    this.#options = options;
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
      const identity = { clusterId: "c", memberId: id };
      await (await LogStore.create(this.#member(id).disk, identity, founding, this.#segmentBytes)).close();
    }
  }

  store(id: NodeId): RaftStore | undefined {
    return this.#member(id).store;
  }

  replica(id: NodeId): Replica | undefined {
    return this.#member(id).replica;
  }

  disk(id: NodeId): SimulatedDisk {
    return this.#member(id).disk;
  }

  leads(id: NodeId): boolean {
    return this.#member(id).replica?.leadership().leader === true;
  }

  async start(id: NodeId): Promise<void> {
    const member = this.#member(id);
    const { snapshotEvery, cadence, keepEntries = limits.raftKeepEntries } = this.#options;
    const { log, durable } = await LogStore.open(member.disk, this.#segmentBytes);
    member.replica = await Replica.start({
      log,
      durable,
      snapshots: this.#options.snapshots?.(member.disk) ?? new SnapshotStore(member.disk),
      transport: this.network.transport(id),
      clock: this.#clock,
      random: () => this.#random.next(),
      url: `http://${id}`,
      cadence: {
        entries: snapshotEvery,
        logBytes: cadence?.logBytes ?? limits.raftSnapshotLogBytes,
        stateShare: cadence?.stateShare ?? 0,
      },
      keep: { entries: keepEntries, bytes: this.#options.keepBytes ?? limits.raftKeepBytes },
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

  get #segmentBytes(): number {
    return this.#options.segmentBytes ?? 4_000;
  }

  #member(id: NodeId): Member {
    return this.#members.get(id)!;
  }
}
