/** Local files after a clean stop: reused when they are what control was told last, dropped otherwise. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AUXILIARY_DB, DATA_DB, type TenantId } from "../../shared/ids.ts";
import { type CountedStore, countedStore } from "../objects/counted.ts";
import { type TestHost, TestWorld, notes, putNote } from "./test-world.ts";

let world: TestWorld;
let store: CountedStore;
beforeEach(async () => {
  world = await TestWorld.open();
  store = countedStore(world.store);
});
afterEach(() => world.close());

const kept = (id: TenantId): string => join(world.directory, "clean", id);

/** A tenant whose worker has stopped cleanly, and the worker that has it next. */
async function stopped(): Promise<{ id: TenantId; next: TestHost }> {
  const host = world.host();
  const id = world.create(host);
  const tenant = await world.at(host, id);
  for (const text of ["one", "two"]) await putNote(tenant, text);
  await tenant.database(AUXILIARY_DB).write(tenant.observe(), (tx) => tx.exec("CREATE TABLE logs (id)"));
  const exit = await host.stop();
  const next = world.host({ store });
  for (const { tenant: one, base } of exit.released) world.give(one, base, next);
  store.reset();
  return { id, next };
}

async function reload(id: TenantId, next: TestHost): Promise<{ texts: string[]; reused: number }> {
  const texts = notes(await world.at(next, id));
  return { texts, reused: next.metrics()["tenant_reuses"] ?? -1 };
}

describe("a clean copy", () => {
  test("is loaded without one request, and written on", async () => {
    const { id, next } = await stopped();
    expect(existsSync(kept(id))).toBe(true);
    expect(await reload(id, next)).toEqual({ texts: ["one", "two"], reused: 1 });
    expect(store.requests()).toBe(0);
    expect(existsSync(kept(id))).toBe(false);
    const tenant = await world.at(next, id);
    expect(await putNote(tenant, "three")).toEqual({ "x-txid": "data.db=3", "x-durable": "1" });
    expect(
      tenant.database(AUXILIARY_DB).read(tenant.observe(), (db) => db.values("SELECT * FROM logs")),
    ).toEqual([]);
    next.abandon();
    const third = world.host();
    await world.takeOver(next, third);
    expect(notes(await world.at(third, id))).toEqual(["one", "two", "three"]);
  });

  test("outlives several clean stops", async () => {
    const { id, next } = await stopped();
    await world.at(next, id);
    const exit = await next.stop();
    const third = world.host();
    for (const { tenant, base } of exit.released) world.give(tenant, base, third);
    expect(await reload(id, third)).toEqual({ texts: ["one", "two"], reused: 1 });
  });

  const cases: [string, (id: TenantId) => void][] = [
    ["of another position", (id) => void (world.known(id).base = higherBase(id))],
    [
      "of a tenant with a tail",
      (id) => world.known(id).tails.push({ incarnation: 1 as never, endSeq: 1 as never }),
    ],
    ["of an earlier start of the system", (id) => edit(id, (mark) => void (mark["boot"] = "another"))],
    ["without a mark", (id) => writeFileSync(join(kept(id), "clean.json"), "")],
    ["whose file was changed", (id) => writeFileSync(join(kept(id), DATA_DB), "x")],
    ["with a WAL", (id) => writeFileSync(join(kept(id), `${DATA_DB}-wal`), "x")],
    [
      "with another hash",
      (id) =>
        edit(
          id,
          (mark) =>
            void (mark.databases[DATA_DB] = { ...mark.databases[DATA_DB], entryHash: "B".repeat(43) }),
        ),
    ],
  ];
  for (const [name, change] of cases) {
    test(`${name} is dropped`, async () => {
      const { id, next } = await stopped();
      change(id);
      const loaded = await reload(id, next).catch((error: Error) => error.message);
      // Where the test's base is ahead of what there is, nothing may be served at all.
      if (typeof loaded === "string") expect(loaded).toContain("below");
      else expect(loaded).toEqual({ texts: ["one", "two"], reused: 0 });
      expect(store.requests({ kind: "list" })).toBeGreaterThan(0);
    });
  }

  test("is not made by a kill, nor by a move", async () => {
    const host = world.host();
    const [moved, killed] = [world.create(host), world.create(host)];
    for (const id of [moved, killed]) await putNote(await world.at(host, id), "one");
    await host.release(moved);
    host.abandon();
    expect([existsSync(kept(moved)), existsSync(kept(killed))]).toEqual([false, false]);
  });
});

function higherBase(id: TenantId): never {
  const base = structuredClone(world.known(id).base);
  const data = base[DATA_DB];
  if (data !== undefined) data.txid = (data.txid + 1) as never;
  return base as never;
}

function edit(
  id: TenantId,
  change: (mark: Record<string, unknown> & { databases: Record<string, object> }) => void,
): void {
  const path = join(kept(id), "clean.json");
  const mark = JSON.parse(readFileSync(path, "utf8"));
  change(mark);
  writeFileSync(path, JSON.stringify(mark));
}
