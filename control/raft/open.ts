import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type SystemError, UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { ReplicatedStore } from "../store/contract.ts";
import { snapshotOf } from "../store/state-machine.ts";
import { systemClock } from "./driver/clock.ts";
import { lockDirectory } from "./driver/directory-lock.ts";
import { nodeDisk } from "./driver/node-disk.ts";
import { RaftStore } from "./driver/raft-store.ts";
import { Replica } from "./driver/replica.ts";
import type { SnapshotCadence } from "./driver/snapshot-cadence.ts";
import { noTransport, type Transport } from "./driver/transport.ts";
import type { Disk } from "./log/disk.ts";
import { LogStore } from "./log/log-store.ts";
import { SnapshotStore } from "./log/snapshot-store.ts";

/** One member among several. All founders are started with the same cluster id and founders. */
export interface ClusterOptions {
  /** Left out: the one that the log names, or a new one. */
  clusterId?: string;
  memberId: string;
  /** Ids of the first voters; none for a member that joins later. */
  founders: readonly string[];
  /** Where the others are reached at first. */
  addresses?: Readonly<Record<string, string>>;
  transport: Transport | ((directory: OpenedDirectory) => Promise<Transport>);
}

export interface OpenedDirectory {
  disk: Disk;
  clusterId: string;
  memberId: string;
}

export interface RaftStoreOptions {
  /** Created when missing; one process at a time. */
  directory: string;
  /** Left out: a cluster of this member alone. */
  cluster?: ClusterOptions;
  /** Where this member answers others; told in `members()`. */
  url?: string;
  /** Entries between snapshots of the state, however large that is; default: `SnapshotCadence` of `limits`. */
  snapshotEvery?: number;
  /** The member had to stop by itself (its disk failed): the process should say why and exit. */
  onFailure?: (error: SystemError) => void;
}

/** The id of a member that founded a cluster of its own. */
export const ONLY_MEMBER = "1";

/** Whether a member has run on this directory before. */
export async function hasLog(directory: string): Promise<boolean> {
  return existsSync(directory) && (await LogStore.exists(nodeDisk(directory)));
}

/**
 * Opens this member's store; founds the cluster (of one member unless told otherwise) in an empty directory. A single member can be
 * written when this resolves.
 * @throws UserError `invalid_directory` (in use by another process, or of another member), SystemError `log_corrupt`
 */
export async function openRaftStore(options: RaftStoreOptions): Promise<ReplicatedStore> {
  await createDirectory(options.directory);
  const lock = lockDirectory(options.directory);
  try {
    const disk = nodeDisk(options.directory);
    await removeLeftovers(disk);
    if (!(await LogStore.exists(disk))) await found(disk, options.cluster);
    const { log, durable } = await LogStore.open(disk);
    if (options.cluster !== undefined) await checkIdentity(log, options.cluster);
    const { transport = noTransport } = options.cluster ?? {};
    const replica = await Replica.start({
      log,
      durable,
      snapshots: new SnapshotStore(disk),
      transport: typeof transport === "function" ? await transport({ disk, ...log.identity }) : transport,
      clock: systemClock,
      random: Math.random,
      url: options.url ?? "",
      cadence: cadenceOf(options.snapshotEvery),
      keep: { entries: limits.raftKeepEntries, bytes: limits.raftKeepBytes },
      onFailure: options.onFailure ?? (() => {}),
    }).catch(async (error: unknown) => {
      await log.close();
      throw error;
    });
    // Alone there is nobody to wait for; among others the store answers as soon as a majority does.
    if (replica.alone) {
      await replica.barrier().catch(async (error: unknown) => {
        await replica.close();
        throw error;
      });
    }
    return new RaftStore(replica, systemClock, () => lock.release());
  } catch (error) {
    lock.release();
    throw error;
  }
}

function cadenceOf(snapshotEvery: number | undefined): SnapshotCadence {
  return {
    entries: snapshotEvery ?? limits.raftSnapshotEvery,
    logBytes: limits.raftSnapshotLogBytes,
    stateShare: snapshotEvery === undefined ? limits.raftSnapshotStateShare : 0,
  };
}

/** A directory that a power cut takes away would take the log with it: every new name on the path is synced. */
async function createDirectory(directory: string): Promise<void> {
  const first = await mkdir(directory, { recursive: true });
  if (first === undefined) return;
  const top = dirname(resolve(first));
  for (let path = resolve(directory); path !== top && path !== dirname(path); path = dirname(path)) {
    await nodeDisk(dirname(path)).syncDirectory();
  }
}

async function found(disk: Disk, cluster: ClusterOptions | undefined): Promise<void> {
  const identity = {
    clusterId: cluster?.clusterId ?? crypto.randomUUID(),
    memberId: cluster?.memberId ?? ONLY_MEMBER,
  };
  const { founders: voters = [ONLY_MEMBER], addresses } = cluster ?? {};
  const membership = { voters, learners: [], ...(addresses === undefined ? {} : { addresses }) };
  const log = await LogStore.create(disk, identity, {
    index: 0,
    term: 0,
    membership,
    data: new Uint8Array(),
  });
  await log.close();
}

/**
 * Makes the directory of a member that is alone in a new cluster, with this state at this revision; `openRaftStore` goes on from there.
 * @throws UserError `invalid_directory` when the directory holds a log already
 */
export async function foundRaftStore(
  directory: string,
  memberId: string,
  rows: Iterable<[key: string, value: unknown]>,
  revision: number,
): Promise<void> {
  await createDirectory(directory);
  const disk = nodeDisk(directory);
  if (await LogStore.exists(disk)) {
    throw new UserError("invalid_directory", `Cannot found a cluster in ${directory}: it holds one`);
  }
  const position = { index: 1, term: 1 };
  const data = await new SnapshotStore(disk).save(position, snapshotOf(rows, revision));
  const membership = { voters: [memberId], learners: [] };
  const identity = { clusterId: crypto.randomUUID(), memberId };
  const log = await LogStore.create(disk, identity, { ...position, membership, data });
  await log.close();
}

/** A directory of another member or cluster would vote and acknowledge in a name that is not its own. */
async function checkIdentity(log: LogStore, cluster: ClusterOptions): Promise<void> {
  const { identity } = log;
  const { clusterId = identity.clusterId, memberId } = cluster;
  if (identity.clusterId === clusterId && identity.memberId === memberId) return;
  await log.close();
  throw new UserError(
    "invalid_directory",
    `Cannot open log: it belongs to member ${identity.memberId} of cluster ${identity.clusterId}, not to member ${memberId} of cluster ${clusterId}`,
    { hint: "Give this member its own directory, or an empty one." },
  );
}

/** Files that were never finished: under its final name a file is whole. */
async function removeLeftovers(disk: Disk): Promise<void> {
  for (const name of await disk.list()) {
    if (name.endsWith(".tmp")) await disk.remove(name);
  }
}
