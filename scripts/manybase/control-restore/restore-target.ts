import { existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { EtcdFounding } from "../../../control/etcd/found.ts";
import { ETCD_PREFIX } from "../../../control/etcd/layout.ts";
import { foundRaftStore, hasLog } from "../../../control/raft/open.ts";
import { UserError } from "../../../shared/errors.ts";

/** Where a restored state goes. */
export interface RestoreTarget {
  /** @throws UserError `invalid_directory`, `conflict` when a state is there already */
  requireEmpty(): Promise<void>;
  /** The state is there as a whole or not at all. @param revision - those of the state are above it */
  found(rows: [key: string, value: unknown][], revision: number): Promise<void>;
}

const UNFINISHED = "control.restoring";

/** A member's data directory: the state goes to `<data>/control`. */
export function intoDirectory(data: string, memberId: string): RestoreTarget {
  const directory = join(data, "control");
  return {
    async requireEmpty() {
      if (!existsSync(directory) || !(await hasLog(directory))) return;
      throw new UserError(
        "invalid_directory",
        `Cannot restore into ${directory}: a state of control is there`,
        {
          hint: "Give a new --data directory, or move the old one away.",
        },
      );
    },
    async found(rows, revision) {
      const making = join(data, UNFINISHED);
      rmSync(making, { recursive: true, force: true });
      await foundRaftStore(making, memberId, rows, revision);
      rmSync(directory, { recursive: true, force: true });
      renameSync(making, directory);
    },
  };
}

/** An etcd that holds no state of control. @param urls - client addresses, separated by commas */
export function intoEtcd(urls: string): RestoreTarget {
  return new EtcdFounding(urls, ETCD_PREFIX);
}
