import type { SystemError } from "../../../shared/errors.ts";
import type { LogStore } from "../log/log-store.ts";
import type { Durable } from "../log/recover.ts";
import type { SnapshotStore } from "../log/snapshot-store.ts";
import type { Clock } from "./clock.ts";
import type { SnapshotCadence } from "./snapshot-cadence.ts";
import type { Transport } from "./transport.ts";

export interface ReplicaParts {
  log: LogStore;
  durable: Durable;
  snapshots: SnapshotStore;
  transport: Transport;
  clock: Clock;
  /** Evenly in [0, 1). */
  random: () => number;
  /** Where this member answers. */
  url: string;
  cadence: SnapshotCadence;
  /** What is kept behind a snapshot, for members that are not far behind: the newest entries, no more and no larger than that. */
  keep: { entries: number; bytes: number };
  /** Called once when the member had to stop by itself: its disk failed or an invariant broke. */
  onFailure: (error: SystemError) => void;
}
