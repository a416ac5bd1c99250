/** A tenant that is fetched before it moves, over real tenants and a real file store. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { AUXILIARY_DB, DATA_DB, type Epoch, type TenantId, type Txid, hex16 } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { ltxPrefix } from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";
import type { Assignment, Positions } from "../../shared/protocol/internal.ts";
import { restoreTenant } from "../replication/restore.ts";
import { ManualClock } from "./manual-clock.ts";
import { Prewarmed } from "./prewarmed.ts";
import { type TestHost, TestWorld, codeOf, notes, putNote } from "./test-world.ts";

let world: TestWorld;
let source: TestHost;
let target: TestHost;
let id: TenantId;
beforeEach(async () => {
  world = await TestWorld.open();
  source = world.host();
  target = world.host();
  id = world.create(source);
});
afterEach(() => world.close());

async function write(text: string): Promise<void> {
  await putNote(await world.at(source, id), text);
}

/** As control does: the source flushes, the target fetches. */
async function prewarm(): Promise<Positions> {
  const base = await source.flush(id, 1 as Epoch);
  await target.prewarm({ ...(world.assignment(id) as Assignment), base, incarnation: target.incarnation });
  return base;
}

async function move(): Promise<void> {
  world.give(id, await source.release(id), target);
}

const used = (): number | undefined => target.metrics()["prewarms_used"];
const warmFolder = (): string => join(world.directory, hex16(target.incarnation), "warm");

describe("a prewarmed tenant", () => {
  test("takes only what came since, and ends at exactly the released base", async () => {
    await write("before");
    await prewarm();
    await write("meanwhile");
    await write("at the end");
    await move();
    expect(notes(await world.at(target, id))).toEqual(["before", "meanwhile", "at the end"]);
    expect(used()).toBe(1);
    await putNote(await world.at(target, id), "there");
    expect(await target.release(id)).toMatchObject({ [DATA_DB]: { txid: 4 } });
  });

  test("reads nothing at all when nothing came since", async () => {
    await write("before");
    await prewarm();
    await move();
    for await (const { key } of listAll(world.store, { prefix: ltxPrefix(id, DATA_DB) })) {
      await world.store.delete([key]);
    }
    expect(notes(await world.at(target, id))).toEqual(["before"]);
  });

  test("gets a database that did not exist yet", async () => {
    await write("before");
    await prewarm();
    const tenant = await world.at(source, id);
    const seen = tenant.observe();
    await tenant.database(AUXILIARY_DB).write(seen, (tx) => tx.exec("CREATE TABLE late (x)"));
    await move();
    const there = await world.at(target, id);
    const tables = there
      .database(AUXILIARY_DB)
      .read(there.observe(), (db) => db.all("SELECT name FROM sqlite_schema"));
    expect(tables).toEqual([{ name: "late" }]);
    expect(used()).toBe(1);
  });

  test("is thrown away when the files that came since do not connect", async () => {
    await write("before");
    await prewarm();
    await write("lost");
    await source.flush(id, 1 as Epoch);
    await write("last");
    await move();
    const hole = (await keys()).find((key) => key.endsWith(`${hex16(2)}.ltx`));
    await world.store.delete([hole ?? ""]);
    expect(await codeOf(() => world.at(target, id))).toBe("chain_gap");
    expect(target.metrics()).toMatchObject({ prewarms_used: 0, prewarms_discarded: 1 });
  });

  test("is thrown away when its history is another one", async () => {
    await write("before");
    await prewarm();
    const { [DATA_DB]: at } = await source.release(id);
    world.give(id, { [DATA_DB]: { txid: at?.txid as Txid, entryHash: "another" } }, target);
    expect(notes(await world.at(target, id))).toEqual(["before"]);
    expect(target.metrics()).toMatchObject({ prewarms_used: 0, prewarms_discarded: 1, tenant_restores: 1 });
  });

  test("is thrown away when what came since goes beyond what was released", async () => {
    await write("before");
    await prewarm();
    await write("second");
    await write("third");
    const { [DATA_DB]: at } = await source.release(id);
    world.give(id, { [DATA_DB]: { txid: 2 as Txid, entryHash: "of the second" } }, target);
    expect(at?.txid as number).toBe(3);
    await world.at(target, id);
    expect(target.metrics()).toMatchObject({ prewarms_used: 0, prewarms_discarded: 1 });
  });

  test("does not count while a log holds more of it", async () => {
    await write("before");
    await prewarm();
    await write("only in the log");
    source.abandon();
    await world.takeOver(source, target);
    expect(notes(await world.at(target, id))).toEqual(["before", "only in the log"]);
    expect(used()).toBe(0);
  });

  test("is refused for another epoch's owner, and where the tenant is already", async () => {
    await write("before");
    expect(await codeOf(() => source.flush(id, 2 as Epoch))).toBe("not_owner");
    expect(await codeOf(() => source.prewarm(world.assignment(id) as Assignment))).toBe("tenant_moving");
  });
});

describe("Prewarmed", () => {
  test("keeps no copy for longer than it may, and not too many", async () => {
    const clock = new ManualClock();
    await write("before");
    const base = await source.flush(id, 1 as Epoch);
    const copies = new Prewarmed({
      directory: join(world.directory, hex16(target.incarnation)),
      clock,
      signal: new AbortController().signal,
      restore: (assignment, directory) =>
        restoreTenant({
          store: world.store,
          logs: undefined as never,
          assignment,
          directory,
          clock,
          signal: new AbortController().signal,
        }),
      catchUp: () => Promise.reject(new Error("unused")),
    });
    await copies.fetch({ ...(world.assignment(id) as Assignment), base });
    expect(readdirSync(warmFolder())).toEqual([id]);
    await clock.pass(limits.prewarmedKeepMs);
    expect(readdirSync(warmFolder())).toEqual([]);
    expect(copies.counts).toEqual({ fetched: 1, used: 0, discarded: 1 });
    expect(existsSync(warmFolder())).toBe(true);
  });
});

async function keys(): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of listAll(world.store, { prefix: ltxPrefix(id, DATA_DB) })) found.push(key);
  return found;
}
