/** A reader that stays for many turns, as the snapshot of a backup does, while capture goes on. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DATA_DB, type Epoch, type TenantId, type Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Connection } from "../sqlite/connection.ts";
import { openReader, openWriter } from "../sqlite/open.ts";
import { DatabaseCapture } from "./capture.ts";
import { systemClock } from "./clock.ts";

let directory: string;
let writer: Connection;
let reader: Connection;
let capture: DatabaseCapture;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "capture-readers-"));
  const path = join(directory, "data.db");
  writer = openWriter(path);
  const origin = { txid: 0 as Txid, entryHash: "", timestampMs: 0, clock: systemClock };
  capture = new DatabaseCapture(
    { tenant: "a" as TenantId, database: DATA_DB, epoch: 1 as Epoch, path, ...origin },
    writer,
  );
  writer.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)");
  capture.committed();
  reader = openReader(path);
});
afterEach(() => {
  capture.close();
  reader.close();
  writer.close();
  rmSync(directory, { recursive: true, force: true });
});

function insertAndCut(): number {
  writer.run("INSERT INTO t (body) VALUES (randomblob(5000))");
  capture.committed();
  const cut = capture.cut(limits.logInlineEntryBytesMax);
  if (cut === undefined) throw new Error("expected a cut");
  return cut.position.txid;
}

for (const mode of ["TRUNCATE", "PASSIVE"] as const) {
  test(`a ${mode} checkpoint under a reader loses nothing, before and after the reader leaves`, () => {
    insertAndCut();
    reader.exec("BEGIN");
    reader.values("SELECT count(*) FROM t");
    const filler = mode === "PASSIVE" ? limits.checkpointPages : 1;
    for (let count = 0; count < filler; count++) insertAndCut();
    capture.checkpoint(writer, mode);
    insertAndCut();
    reader.exec("COMMIT");
    // The reader begins again at the newest commit: all frames can move, but the WAL cannot be cut off.
    reader.exec("BEGIN");
    reader.values("SELECT count(*) FROM t");
    capture.checkpoint(writer, mode);
    reader.exec("COMMIT");
    const before = insertAndCut();
    expect(insertAndCut()).toBe(before + 1);
    capture.checkpoint(writer, mode);
    expect(insertAndCut()).toBe(before + 2);
  });
}
