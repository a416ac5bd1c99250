import { mkdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { ReplicatedStore } from "../store/contract.ts";
import { systemClock } from "./driver/clock.ts";
import { lockDirectory } from "./driver/directory-lock.ts";
import { nodeDisk } from "./driver/node-disk.ts";
import { RaftStore } from "./driver/raft-store.ts";
import { Replica } from "./driver/replica.ts";
import { noTransport } from "./driver/transport.ts";
import type { Disk } from "./log/disk.ts";
import { LogStore } from "./log/log-store.ts";
import { SnapshotStore } from "./log/snapshot-store.ts";

export interface RaftStoreOptions {
  /** Created when missing; one process at a time. */
  directory: string;
  /** Where this member answers others; told in `members()`. */
  url?: string;
  /** Entries between snapshots of the state. */
  snapshotEvery?: number;
  /** The member had to stop by itself (its disk failed): the process should say why and exit. */
  onFailure?: (error: SystemError) => void;
}

const ONLY_MEMBER = "1";

/**
 * Opens this member's store, or founds a cluster of one member in an empty directory. Resolves when it can be written.
 * @throws UserError `invalid_directory` (in use by another process), SystemError `log_corrupt`
 */
export async function openRaftStore(options: RaftStoreOptions): Promise<ReplicatedStore> {
  await createDirectory(options.directory);
  const lock = lockDirectory(options.directory);
  try {
    const disk = nodeDisk(options.directory);
    await removeLeftovers(disk);
    if (!(await LogStore.exists(disk))) await found(disk);
    const { log, durable } = await LogStore.open(disk);
    const replica = await Replica.start({
      log,
      durable,
      snapshots: new SnapshotStore(disk),
      transport: noTransport,
      clock: systemClock,
      random: Math.random,
      url: options.url ?? "",
      snapshotEvery: options.snapshotEvery ?? limits.raftSnapshotEvery,
      onFailure: options.onFailure ?? (() => {}),
    }).catch(async (error: unknown) => {
      await log.close();
      throw error;
    });
    await replica.barrier();
    return new RaftStore(replica, systemClock, () => lock.release());
  } catch (error) {
    lock.release();
    throw error;
  }
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

async function found(disk: Disk): Promise<void> {
  const identity = { clusterId: crypto.randomUUID(), memberId: ONLY_MEMBER };
  const membership = { voters: [ONLY_MEMBER], learners: [] };
  const log = await LogStore.create(disk, identity, { index: 0, term: 0, membership, data: new Uint8Array() });
  await log.close();
}

/** Files that were never finished: under its final name a file is whole. */
async function removeLeftovers(disk: Disk): Promise<void> {
  for (const name of await disk.list()) {
    if (name.endsWith(".tmp")) await disk.remove(name);
  }
}
