/** Writes that share a transaction. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Observation, Tenant, WriteTransaction } from "./contract.ts";
import { ManualClock } from "./manual-clock.ts";
import { type TestHost, TestWorld, gatedStore, notes, putNote } from "./test-world.ts";

// A busy machine is no failure.
setDefaultTimeout(60_000);

let world: TestWorld;
let host: TestHost;
let tenant: Tenant;
let gated: ReturnType<typeof gatedStore>;
/** A group ends when it has taken its time, which a busy machine takes for anything. */
let clock: ManualClock;
beforeEach(async () => {
  world = await TestWorld.open();
  gated = gatedStore(world.store);
  clock = new ManualClock();
  host = world.host({ store: gated.store, clock });
  tenant = await world.at(host, world.create(host));
  await putNote(tenant, "first");
});
afterEach(() => world.close());

const insert = (tx: WriteTransaction, text: string): void =>
  void tx.run("INSERT INTO notes (text) VALUES (?)", [text]);

function add<T>(fn: (tx: WriteTransaction) => T, seen: Observation = tenant.observe()): Promise<Awaited<T>> {
  return tenant.data.writeTogether(seen, fn);
}

/** The message, or what came of it. */
const outcome = (work: Promise<unknown>): Promise<unknown> =>
  work.catch((error: unknown) => (error as Error).message);

/** The error's code. */
const verdict = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "written",
    (error: unknown) => (error as SystemError).code,
  );

describe("writeTogether", () => {
  test("commits what comes in one turn at once: effects follow all of it, one TXID holds it", async () => {
    const order: string[] = [];
    const seen = [tenant.observe(), tenant.observe(), tenant.observe()];
    const all = seen.map((one, i) =>
      add((tx) => {
        order.push(`write ${i}`);
        insert(tx, `note ${i}`);
        tx.afterCommit(() => void order.push(`effect ${i}, ${notes(tenant).length} notes`));
        return tx.values("SELECT count(*) FROM notes")[0]?.[0];
      }, one),
    );
    expect(order).toEqual([]);
    expect(await Promise.all(all)).toEqual([2, 3, 4]);
    expect(order).toEqual([
      ...["write 0", "write 1", "write 2"],
      ...["effect 0, 4 notes", "effect 1, 4 notes", "effect 2, 4 notes"],
    ]);
    await Promise.all(seen.map((one) => one.settled()));
    expect(seen.map((one) => one.headers()["x-txid"])).toEqual(Array(3).fill("data.db=2"));
  });

  test("undoes a failing one alone, which is told only when what it saw is durable", async () => {
    const effects: string[] = [];
    const failed = tenant.observe();
    gated.close();
    const all = [
      add((tx) => insert(tx, "second")),
      add((tx) => {
        tx.afterCommit(() => void effects.push("of the failed one"));
        tx.afterDurable(() => void effects.push("of the failed one"));
        insert(tx, "undone");
        tx.run("INSERT INTO notes (id) VALUES (2)");
      }, failed),
      add((tx) => {
        insert(tx, "third");
        tx.afterCommit(() => void effects.push("of the third"));
      }),
    ];
    expect(await Promise.all(all.map(outcome))).toEqual([
      undefined,
      expect.stringContaining("UNIQUE"),
      undefined,
    ]);
    expect(notes(tenant)).toEqual(["first", "second", "third"]);
    expect(effects).toEqual(["of the third"]);
    // The note that it collided with is another's, and not in the store yet.
    expect(failed.settled()).toBeInstanceOf(Promise);
    gated.open();
    await failed.settled();
    expect(failed.headers()).toEqual({ "x-txid": "data.db=2", "x-durable": "1" });
  });

  test("commits nothing when all fail", async () => {
    const seen = tenant.observe();
    const all = ["a", "b"].map((text) =>
      add((tx) => {
        insert(tx, text);
        throw new Error(text);
      }, seen),
    );
    expect(await Promise.all(all.map(outcome))).toEqual(["a", "b"]);
    await putNote(tenant, "second");
    expect(notes(tenant)).toEqual(["first", "second"]);
    expect(seen.headers()["x-txid"]).toBe("data.db=1");
  });

  test("runs each by itself when one takes the transaction along", async () => {
    const effects: string[] = [];
    const put = (text: string) =>
      add((tx) => {
        insert(tx, text);
        tx.afterCommit(() => void effects.push(text));
      });
    const all = [
      put("second"),
      add((tx) => tx.run("INSERT OR ROLLBACK INTO notes (id) VALUES (1)")),
      put("third"),
    ];
    expect(await Promise.all(all.map(outcome))).toEqual([
      undefined,
      expect.stringContaining("UNIQUE"),
      undefined,
    ]);
    expect(notes(tenant)).toEqual(["first", "second", "third"]);
    expect(effects).toEqual(["second", "third"]);
  });

  test("runs each by itself when the commit of all fails", async () => {
    await tenant.data.write(tenant.observe(), (tx) =>
      tx.exec("CREATE TABLE marks (note INTEGER REFERENCES notes (id) DEFERRABLE INITIALLY DEFERRED)"),
    );
    const all = [
      add((tx) => insert(tx, "second")),
      add((tx) => void tx.run("INSERT INTO marks VALUES (77)")),
      add((tx) => void tx.run("INSERT INTO marks VALUES (2)")),
    ];
    expect(await Promise.all(all.map(outcome))).toEqual([
      undefined,
      expect.stringContaining("FOREIGN KEY"),
      undefined,
    ]);
    expect(notes(tenant)).toEqual(["first", "second"]);
  });

  test("holds each to the storage quota by itself", async () => {
    const small = await world.at(host, world.create(host, "durable", { storageBytesMax: 64 * 1024 }));
    await putNote(small, "first");
    const put = (text: string): Promise<string> =>
      verdict(
        small.data.writeTogether(small.observe(), (tx) => {
          tx.withinQuota();
          insert(tx, text);
        }),
      );
    const big = "x".repeat(128 * 1024);
    expect(await Promise.all(["second", big, "third"].map(put))).toEqual([
      "written",
      "storage_full",
      "written",
    ]);
    expect(notes(small)).toEqual(["first", "second", "third"]);
  });

  test("refuses a function that takes time", async () => {
    const all = [add(async (tx) => insert(tx, "late")), add((tx) => insert(tx, "second"))];
    expect(await Promise.all(all.map(outcome))).toEqual([expect.stringContaining("takes time"), undefined]);
    expect(notes(tenant)).toEqual(["first", "second"]);
  });

  test("waits for whoever holds the lock, and hears of a tenant that is lost meanwhile", async () => {
    const gate = Promise.withResolvers<void>();
    const slow = tenant.data.write(tenant.observe(), () => gate.promise);
    const second = add((tx) => insert(tx, "second"));
    await Bun.sleep(5);
    expect(notes(tenant)).toEqual(["first"]);
    gate.resolve();
    await slow;
    await second;
    expect(notes(tenant)).toEqual(["first", "second"]);
    void tenant.data.write(tenant.observe(), () => new Promise<void>(() => {}));
    const third = verdict(add((tx) => insert(tx, "third")));
    await Bun.sleep(5);
    host.abandon();
    expect(await third).toBe("fenced");
    expect(() => add((tx) => insert(tx, "fourth"))).toThrow(SystemError);
  });

  test("gives the thread back after a while, and refuses too many", async () => {
    const order: string[] = [];
    const put = (text: string): Promise<unknown> =>
      add((tx) => {
        insert(tx, text);
        order.push(text);
        tx.afterCommit(() => void order.push("commit"));
        if (text === "slow") clock.jump(limits.writeGroupMs);
      });
    await Promise.all(["quick", "slow", "late"].map(put));
    expect(order).toEqual(["quick", "slow", "commit", "commit", "late", "commit"]);
    const codes = await Promise.all(
      Array.from({ length: limits.tenantQueueMax + 2 }, () => verdict(put("one of many"))),
    );
    expect(codes.filter((code) => code === "overloaded")).toHaveLength(2);
    expect(notes(tenant)).toHaveLength(4 + limits.tenantQueueMax);
  });
});
