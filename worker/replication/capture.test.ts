import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DATA_DB, type Epoch, type TenantId, type Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { decodeLtx } from "../../shared/ltx/decode.ts";
import { mergeLtx } from "../../shared/ltx/merge.ts";
import type { Connection } from "../sqlite/connection.ts";
import { openWriter } from "../sqlite/open.ts";
import { DatabaseCapture } from "./capture.ts";
import { type Clock, systemClock } from "./clock.ts";
import { nextEntryHash } from "./hash.ts";

let directory: string;
let path: string;
let writer: Connection;
let capture: DatabaseCapture;
let nowMs: number;
const clock: Clock = { ...systemClock, nowMs: () => nowMs };

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "capture-"));
  path = join(directory, "data.db");
  nowMs = 1_000;
  writer = openWriter(path);
  capture = new DatabaseCapture(
    {
      tenant: "a" as TenantId,
      database: DATA_DB,
      epoch: 3 as Epoch,
      path,
      clock,
      txid: 0 as Txid,
      entryHash: "",
      timestampMs: 0,
    },
    writer,
  );
  writer.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)");
});
afterEach(() => {
  capture.close();
  writer.close();
  rmSync(directory, { recursive: true, force: true });
});

const insert = (bytes: number): void => {
  writer.run("INSERT INTO t (body) VALUES (randomblob(?))", [bytes]);
  capture.committed();
};
const cut = (): ReturnType<DatabaseCapture["cut"]> => capture.cut(limits.logInlineEntryBytesMax);

describe("DatabaseCapture", () => {
  test("counts TXIDs up, chains hashes, and lets no timestamp stand still", () => {
    insert(10);
    const first = cut();
    nowMs = 500;
    insert(10);
    const second = cut();
    expect([first?.position.txid, second?.position.txid]).toEqual([1, 2] as Txid[]);
    expect([first?.timestampMs, second?.timestampMs]).toEqual([1_000, 1_001]);
    expect(first?.position.entryHash).toBe(nextEntryHash("", first?.ltx ?? new Uint8Array()));
    expect(second?.position.entryHash).toBe(
      nextEntryHash(first?.position.entryHash ?? "", second?.ltx ?? new Uint8Array()),
    );
    expect(decodeLtx(second?.ltx ?? new Uint8Array()).header.epoch).toBe(3 as Epoch);
    expect(cut()).toBeUndefined();
  });

  test("the first cut has every page, and all cuts together are the database", () => {
    const files = [];
    for (let i = 0; i < 50; i++) {
      insert(i * 300);
      if (i === 30) writer.exec("DELETE FROM t WHERE id < 20");
      const made = cut();
      if (made !== undefined) files.push(decodeLtx(made.ltx));
    }
    expect(files[0]?.header.minTxid).toBe(1 as Txid);
    const { header, pages } = mergeLtx(files);
    const image = writer.image();
    expect(header.commit).toBe(image.length / 4096);
    const built = Buffer.concat([...pages.values()]);
    // Free pages may hold what nobody can read.
    expect(built.length).toBe(image.length);
    expect(Buffer.compare(built.subarray(0, 4096), image.subarray(0, 4096))).toBe(0);
  });

  test("checkpoints keep the WAL short and lose nothing, whatever their order", () => {
    for (let round = 0; round < 6; round++) {
      for (let i = 0; i < 600; i++) insert(3_000);
      expect(cut()).toBeDefined();
      capture.checkpoint(writer, "PASSIVE");
      if (round % 2 === 0) capture.checkpoint(writer, "TRUNCATE");
      if (round % 3 === 0) capture.checkpoint(writer, "TRUNCATE");
      insert(10);
      if (round % 3 === 1) expect(cut()).toBeDefined();
    }
    expect(statSync(`${path}-wal`).size).toBeLessThan(4_200 * 2_000);
  });

  test("a large cut says that it must stand beside the log", () => {
    insert(20_000);
    const made = capture.cut(10_000);
    expect(made?.sha256?.length).toBe(43);
    expect(cut()).toBeUndefined();
  });

  test("never moves frames that were not captured", () => {
    for (let i = 0; i < 600; i++) insert(3_000);
    expect(cut()).toBeDefined();
    insert(10);
    expect(() => capture.checkpoint(writer, "PASSIVE")).toThrow("frames that were not captured");
  });
});
