/** Processes are shared fairly, killed when their time is over, and replaced. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openWriter } from "../sqlite/open.ts";
import { StatementPool } from "./pool.ts";
import type { StatementProcess } from "./statement-process.ts";

const ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
const directory = mkdtempSync(join(tmpdir(), "pool-"));
const path = join(directory, "x.db");
beforeAll(() => openWriter(path).close());
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const ask = (process: StatementProcess, sql: string, limitMs = 5_000) =>
  process.ask(
    {
      type: "select",
      path,
      sql,
      params: [],
      shape: "arrays",
      bounds: { rowsMax: 5_000, bytesMax: 1_000_000 },
    },
    limitMs,
  );

async function using<T>(pool: StatementPool, owner: string, use: (process: StatementProcess) => Promise<T>) {
  const process = await pool.lease(owner);
  try {
    return await use(process);
  } finally {
    pool.release(process);
  }
}

test("one owner leaves a process to others, and whoever was killed is replaced", async () => {
  const pool = new StatementPool({ processesMax: 2, perOwnerMax: 1 });
  const hostile = [1, 2, 3].map(() =>
    using(pool, "hostile", (process) => ask(process, ENDLESS, 300)).catch((error: unknown) => error),
  );
  const other = await using(pool, "other", (process) => ask(process, "SELECT 1"));
  expect(other.rows).toEqual([[1]]);
  for (const stopped of hostile) expect(await stopped).toMatchObject({ code: "SQLITE_INTERRUPT" });
  expect((await using(pool, "hostile", (process) => ask(process, "SELECT 2"))).rows).toEqual([[2]]);
  expect(pool.size).toBeLessThanOrEqual(2);
});

test("an answer in many pieces is put together in order; one that is too large is none", async () => {
  const pool = new StatementPool({ processesMax: 1, perOwnerMax: 1 });
  const numbers = (count: number): string =>
    `WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ${count}) SELECT x FROM n`;
  const { rows } = await using(pool, "a", (process) => ask(process, numbers(4_500)));
  expect(rows).toEqual(Array.from({ length: 4_500 }, (_, index) => [index + 1]));
  const many = await using(pool, "a", (process) => ask(process, numbers(5_001)));
  expect(many).toMatchObject({ told: { cut: "rows" }, rows: [] });
  const large = await using(pool, "a", (process) => ask(process, "SELECT hex(zeroblob(600000))"));
  expect(large).toMatchObject({ told: { cut: "bytes" }, rows: [] });
});

test("what SQLite says is told with its code, and the process goes on", async () => {
  const pool = new StatementPool({ processesMax: 1, perOwnerMax: 1 });
  const process = await pool.lease("a");
  const failed = await ask(process, "SELECT json('{')").catch((error: unknown) => error);
  expect(failed).toMatchObject({ message: "malformed JSON", errno: 1, name: "SQLiteError" });
  expect((await ask(process, "SELECT 3")).rows).toEqual([[3]]);
  await process.kill("by the test");
  expect(await ask(process, "SELECT 4").catch((error: unknown) => error)).toMatchObject({
    code: "SQLITE_INTERRUPT",
  });
  pool.release(process);
});
