import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import type { Tenant, WriteTransaction } from "./contract.ts";
import { type TestHost, TestWorld, codeOf, fastClock, notes, putNote } from "./test-world.ts";

let world: TestWorld;
let host: TestHost;
let tenant: Tenant;
beforeEach(async () => {
  world = await TestWorld.open();
  host = world.host();
  tenant = await world.at(host, world.create(host));
  await putNote(tenant, "first");
});
afterEach(() => world.close());

const insert = (tx: WriteTransaction, text: string): void =>
  void tx.run("INSERT INTO notes (text) VALUES (?)", [text]);

describe("write", () => {
  test("answers in the same turn when lock and fn do", () => {
    const result = tenant.data.write(tenant.observe(), (tx) => {
      insert(tx, "second");
      return tx.get<{ n: number }>("SELECT count(*) AS n FROM notes")?.n;
    });
    expect(result).toBe(2);
  });

  test("a throw rolls back, is rethrown, and frees the lock", async () => {
    const effects: string[] = [];
    const run = (): unknown =>
      tenant.data.write(tenant.observe(), (tx) => {
        insert(tx, "second");
        tx.afterCommit(() => void effects.push("commit"));
        throw new Error("no");
      });
    expect(run).toThrow("no");
    await putNote(tenant, "third");
    expect(notes(tenant)).toEqual(["first", "third"]);
    expect(effects).toEqual([]);
  });

  test("an asynchronous fn keeps the lock, and nobody sees its rows before the commit", async () => {
    const gate = Promise.withResolvers<void>();
    const slow = tenant.data.write(tenant.observe(), async (tx) => {
      insert(tx, "second");
      await gate.promise;
      insert(tx, "third");
      return "done";
    });
    const order: string[] = [];
    const others = ["fourth", "fifth"].map(async (text) => {
      await tenant.data.write(tenant.observe(), (tx) => insert(tx, text));
      order.push(text);
    });
    await Bun.sleep(5);
    expect(notes(tenant)).toEqual(["first"]);
    gate.resolve();
    expect(await slow).toBe("done");
    await Promise.all(others);
    expect(order).toEqual(["fourth", "fifth"]);
    expect(notes(tenant)).toEqual(["first", "second", "third", "fourth", "fifth"]);
  });

  test("an asynchronous throw rolls back", async () => {
    const failing = tenant.data.write(tenant.observe(), async (tx) => {
      insert(tx, "second");
      await Bun.sleep(1);
      throw new Error("no");
    });
    expect(await Promise.resolve(failing).catch(String)).toBe("Error: no");
    expect(notes(tenant)).toEqual(["first"]);
  });

  test("a transaction is of no use after its end", async () => {
    let kept: WriteTransaction | undefined;
    await tenant.data.write(tenant.observe(), (tx) => void (kept = tx));
    expect(() => kept?.run("SELECT 1")).toThrow("it has ended");
  });

  test("a broken listener does not undo the commit", async () => {
    await tenant.data.write(tenant.observe(), (tx) => {
      insert(tx, "second");
      tx.afterCommit(() => {
        throw new Error("listener");
      });
    });
    expect(notes(tenant)).toEqual(["first", "second"]);
    expect(world.errors.map(String)).toEqual(["Error: listener"]);
  });

  test("the queue for the lock is bounded in length and time", async () => {
    const fast = world.host({ clock: fastClock(1_000) });
    const crowded = await world.at(fast, world.create(fast));
    const gate = Promise.withResolvers<void>();
    void crowded.data.write(crowded.observe(), () => gate.promise);
    const waiting = Array.from({ length: limits.tenantQueueMax }, () =>
      codeOf(() => crowded.data.write(crowded.observe(), () => 1)),
    );
    expect(await codeOf(() => crowded.data.write(crowded.observe(), () => 1))).toBe("overloaded");
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(["overloaded"]));
    gate.resolve();
  });
});

describe("nested", () => {
  test("rolls back alone, with its effects", async () => {
    const effects: string[] = [];
    await tenant.data.write(tenant.observe(), (tx) => {
      insert(tx, "second");
      tx.afterCommit(() => void effects.push("outer"));
      expect(() =>
        tx.nested(() => {
          insert(tx, "third");
          tx.afterCommit(() => void effects.push("inner"));
          tx.nested(() => insert(tx, "fourth"));
          throw new Error("no");
        }),
      ).toThrow("no");
      tx.nested(() => {
        insert(tx, "fifth");
        tx.afterCommit(() => void effects.push("kept"));
      });
    });
    expect(notes(tenant)).toEqual(["first", "second", "fifth"]);
    expect(effects).toEqual(["outer", "kept"]);
  });

  test("may be asynchronous", async () => {
    await tenant.data.write(tenant.observe(), async (tx) => {
      await tx.nested(async () => {
        await Bun.sleep(1);
        insert(tx, "second");
      });
      await tx
        .nested(async () => {
          insert(tx, "third");
          await Bun.sleep(1);
          throw new Error("no");
        })
        .catch(() => {});
    });
    expect(notes(tenant)).toEqual(["first", "second"]);
  });
});

describe("read", () => {
  test("kept beyond its turn still sees no open transaction", async () => {
    const gate = Promise.withResolvers<void>();
    const count = "SELECT count(*) FROM notes";
    const counts = tenant.data.read(tenant.observe(), async (db) => {
      const before = db.values(count);
      await gate.promise;
      return [before, db.values(count)];
    });
    const slow = tenant.data.write(tenant.observe(), async (tx) => {
      insert(tx, "second");
      gate.resolve();
      await counts;
    });
    expect(await counts).toEqual([[[1]], [[1]]]);
    await slow;
    expect(notes(tenant)).toEqual(["first", "second"]);
  });

  test("cannot write", () => {
    expect(() =>
      tenant.data.read(tenant.observe(), (db) => db.all("DELETE FROM notes RETURNING id")),
    ).toThrow("readonly");
  });

  test("sees the functions that the host was given, as writes do", async () => {
    const own = world.host({ sqlFunctions: [{ name: "twice", call: (value) => Number(value) * 2 }] });
    const at = await world.at(own, world.create(own));
    expect(at.data.read(at.observe(), (db) => db.values("SELECT twice(4)"))).toEqual([[8]]);
    expect(at.data.write(at.observe(), (tx) => tx.values("SELECT twice(5)"))).toEqual([[10]]);
  });
});

test("slot is made once per key and tenant", () => {
  let made = 0;
  const key = { create: (): number => ++made };
  expect([tenant.slot(key), tenant.slot(key)]).toEqual([1, 1]);
});
