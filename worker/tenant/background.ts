import type { Incarnation } from "../../shared/ids.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Bulk } from "../replication/bulk/work.ts";
import type { Clock } from "../replication/clock.ts";
import { Condemned } from "../replication/condemned.ts";
import { LogTruncator } from "../replication/log-truncation.ts";
import type { LogWriter } from "../replication/log-writer.ts";
import { UploadKeeper } from "../points/upload-keeper.ts";
import { Maintainer } from "../replication/maintainer.ts";

/** What keeps object storage small, behind everyone's back. */
export interface Background {
  maintainer: Maintainer;
  condemned: Condemned;
  truncator: LogTruncator;
  close(): void;
}

export function createBackground(parts: {
  store: ObjectStore;
  incarnation: Incarnation;
  clock: Clock;
  signal: AbortSignal;
  newNonce: () => string;
  bulk: Bulk;
  /** Asked for when it is needed: it is made later. */
  writer: () => LogWriter;
}): Background {
  const { writer, ...common } = parts;
  const prove = (): Promise<void> => writer().prove();
  const condemned = new Condemned({ ...common, prove });
  const uploads = new UploadKeeper(common);
  const maintainer = new Maintainer({ ...common, condemned, uploads });
  const truncator = new LogTruncator({ ...common, prove, provenMs: () => writer().provenMs });
  return {
    maintainer,
    condemned,
    truncator,
    close() {
      maintainer.close();
      condemned.close();
      truncator.close();
    },
  };
}
