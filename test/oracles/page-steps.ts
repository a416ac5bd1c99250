import { Database } from "bun:sqlite";
import { readFileSync } from "node:fs";
import type { Epoch, Txid } from "../../shared/ids.ts";
import { type LtxFile, lockPage } from "../../shared/ltx/ltx.ts";

export interface Steps {
  /** What each step changed, TXIDs 1, 2, 3, … */
  files: LtxFile[];
  /** The database file after the last step. */
  database: Uint8Array;
}

/** Runs the steps on a real database at `path` and takes what each one changed from the file itself, not from the WAL. */
export function runSteps(
  path: string,
  pageSize: number,
  steps: readonly string[],
  journalMode: "DELETE" | "WAL" = "DELETE",
): Steps {
  const files: LtxFile[] = [];
  let before: Uint8Array = new Uint8Array(0);
  const db = new Database(path);
  db.run(`PRAGMA page_size = ${pageSize}`);
  db.run(`PRAGMA journal_mode = ${journalMode}`);
  for (const [i, sql] of steps.entries()) {
    db.run(sql);
    if (journalMode === "WAL") db.run("PRAGMA wal_checkpoint(TRUNCATE)");
    const after = new Uint8Array(readFileSync(path));
    const pages = new Map<number, Uint8Array>();
    for (let pgno = 1; pgno * pageSize <= after.length; pgno++) {
      const range = [(pgno - 1) * pageSize, pgno * pageSize] as const;
      const data = after.slice(...range);
      const same = range[1] <= before.length && Buffer.compare(data, before.subarray(...range)) === 0;
      if (!same && pgno !== lockPage(pageSize)) pages.set(pgno, data);
    }
    const txid = (i + 1) as Txid;
    files.push({
      header: {
        pageSize,
        commit: after.length / pageSize,
        minTxid: txid,
        maxTxid: txid,
        timestampMs: Date.UTC(2026, 0, 1) + i * 1_000,
        epoch: 3 as Epoch,
        walOffset: 0,
        walSize: 0,
        salt1: 0,
        salt2: 0,
      },
      pages,
    });
    before = after;
  }
  db.close();
  return { files, database: before };
}
