import type { LogSeq } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { logEntryBytes } from "../../shared/log/encode.ts";
import type { DirectoryDatabase, LogEntry, LogFooter } from "../../shared/log/log.ts";

/**
 * What a log says of itself, so that a recovery need not read each of its objects: every logFootersEvery slots the footers of
 * the slots since the last time, every logDirectoryEvery slots all that is not under a tenant's prefix yet (replication.md §3).
 */
export class RecoveryIndex {
  #footers: LogFooter[] = [];

  /** Entries for this slot's object, to stand before all others. Too large ones are left out: they only save requests. */
  entriesFor(
    seq: LogSeq,
    pending: () => readonly DirectoryDatabase[],
  ): { entries: readonly LogEntry[]; bytes: number } {
    const entries: LogEntry[] = [];
    let bytes = 0;
    const add = (entry: LogEntry): void => {
      const size = logEntryBytes(entry);
      if (size > limits.logIndexEntryBytesMax) return;
      entries.push(entry);
      bytes += size;
    };
    if (seq % limits.logFootersEvery === 0) add({ kind: "footers", footers: this.#footers });
    if (seq % limits.logDirectoryEvery === 0) add({ kind: "directory", databases: pending() });
    return { entries, bytes };
  }

  /** The object of the next slot was made. */
  written(footer: LogFooter): void {
    if (footer.header.seq % limits.logFootersEvery === 0) this.#footers = [];
    this.#footers.push(footer);
  }
}
