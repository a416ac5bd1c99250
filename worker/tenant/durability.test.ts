/** What may leave the process, and when. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { AUXILIARY_DB, type TenantId } from "../../shared/ids.ts";
import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Tenant } from "./contract.ts";
import type { TenantHostOptions } from "./host.ts";
import { ManualClock } from "./manual-clock.ts";
import { type TestHost, TestWorld, codeOf, fastClock, gatedStore, notes, putNote } from "./test-world.ts";

// A busy machine is no failure.
setDefaultTimeout(60_000);

let world: TestWorld;
let gated: ReturnType<typeof gatedStore>;
beforeEach(async () => {
  world = await TestWorld.open();
  gated = gatedStore(world.store);
});
afterEach(() => world.close());

async function started(
  durability: "durable" | "async" = "durable",
  options: Partial<TenantHostOptions> = {},
): Promise<{ host: TestHost; id: TenantId; tenant: Tenant }> {
  const host = world.host({ store: gated.store, ...options });
  const id = world.create(host, durability);
  const tenant = await world.at(host, id);
  await putNote(tenant, "first");
  return { host, id, tenant };
}

/** An async tenant's writes are acknowledged before that. */
async function untilDurable(tenant: Tenant): Promise<void> {
  for (;;) {
    const seen = tenant.observe();
    tenant.data.read(seen, (db) => db.get("SELECT 1"));
    if (seen.headers()["x-durable"] === "1") return;
    await Bun.sleep(5);
  }
}

/** Whether it settles within 30 ms. */
async function soon(work: Promise<unknown> | void): Promise<boolean> {
  return Promise.race([Promise.resolve(work).then(() => true), Bun.sleep(30).then(() => false)]);
}

describe("Observation.settled", () => {
  test("answers at once when nothing pending was seen", async () => {
    const { tenant } = await started();
    const seen = tenant.observe();
    tenant.data.read(seen, (db) => db.get("SELECT 1"));
    expect(seen.settled()).toBeUndefined();
    expect(seen.headers()).toEqual({ "x-txid": "data.db=1", "x-durable": "1" });
  });

  test("of a write waits for its object; of a read that saw it, too; of an error, too", async () => {
    const { tenant } = await started();
    gated.close();
    const wrote = putNote(tenant, "second");
    const read = tenant.observe();
    tenant.data.read(read, (db) => db.all("SELECT * FROM notes"));
    const failed = tenant.observe();
    expect(() => tenant.data.write(failed, (tx) => tx.run("INSERT INTO notes (id) VALUES (2)"))).toThrow(
      "UNIQUE",
    );
    expect(await soon(wrote)).toBe(false);
    const [readSettled, failedSettled] = [read.settled(), failed.settled()];
    expect(await soon(readSettled)).toBe(false);
    expect(await soon(failedSettled)).toBe(false);
    gated.open();
    expect(await wrote).toEqual({ "x-txid": "data.db=2", "x-durable": "1" });
    await Promise.all([readSettled, failedSettled]);
    expect(read.headers()["x-txid"]).toBe("data.db=2");
  });

  test("commits made while an object is under way share the next one, also of several tenants", async () => {
    const { host, tenant } = await started();
    const other = await world.at(host, world.create(host));
    const before = host.metrics()["log_objects"] ?? 0;
    gated.close();
    const all = [putNote(tenant, "a")];
    await Bun.sleep(5);
    for (let i = 0; i < 20; i++) all.push(putNote(i % 2 === 0 ? tenant : other, `b${i}`));
    gated.open();
    await Promise.all(all);
    expect((host.metrics()["log_objects"] ?? 0) - before).toBe(2);
  });

  test("a commit that changes nothing makes no TXID and no object", async () => {
    const { host, tenant } = await started();
    const before = host.metrics()["log_objects"];
    const seen = tenant.observe();
    await tenant.data.write(seen, (tx) => tx.run("UPDATE notes SET text = '' WHERE id < 0"));
    await seen.settled();
    expect(seen.headers()).toEqual({ "x-txid": "data.db=1", "x-durable": "1" });
    expect(host.metrics()["log_objects"]).toBe(before as number);
    expect(await putNote(tenant, "second")).toEqual({ "x-txid": "data.db=2", "x-durable": "1" });
  });

  test("nothing is durable that has seen one commit which is not", async () => {
    const { tenant } = await started("async");
    await untilDurable(tenant);
    gated.close();
    const seen = tenant.observe();
    await tenant.data.write(seen, (tx) => tx.run("UPDATE notes SET text = 'changed'"));
    tenant.database(AUXILIARY_DB).read(seen, (db) => db.get("SELECT 1"));
    expect(seen.headers()).toMatchObject({ "x-durable": "0" });
    gated.open();
    await untilDurable(tenant);
  });

  test("stops waiting when its caller's signal is aborted", async () => {
    const { tenant } = await started();
    gated.close();
    void putNote(tenant, "second").catch(() => {});
    const seen = tenant.observe();
    tenant.data.read(seen, (db) => db.get("SELECT 1"));
    const controller = new AbortController();
    const settled = seen.settled(controller.signal) as Promise<void>;
    controller.abort(new Error("gone away"));
    expect(await settled.catch(String)).toBe("Error: gone away");
  });
});

describe("the lease", () => {
  test("without it a read leaves only after a PUT has shown that the log is not sealed", async () => {
    const { host, tenant } = await started();
    await Bun.sleep(limits.leaseProofMs + 10);
    world.mayAnswer = false;
    const before = host.metrics()["log_objects"] ?? 0;
    const seen = tenant.observe();
    tenant.data.read(seen, (db) => db.get("SELECT 1"));
    await seen.settled();
    expect(host.metrics()["log_objects"]).toBe(before + 1);
    // Proven for a moment.
    expect(tenant.observe().settled()).toBeUndefined();
  });

  test("without it and with a sealed log nothing leaves", async () => {
    const { host, tenant } = await started();
    await Bun.sleep(limits.leaseProofMs + 10);
    await world.takeOver(host, world.host());
    world.mayAnswer = false;
    const seen = tenant.observe();
    tenant.data.read(seen, (db) => db.get("SELECT 1"));
    expect(await codeOf(() => seen.settled())).toBe("fenced");
  });
});

describe("an async tenant", () => {
  test("has commits that nobody waits for in one object, and those that somebody waits for at once", async () => {
    const clock = new ManualClock();
    const { host, tenant } = await started("async", { clock });
    await clock.pass(limits.asyncFlushMs);
    await untilDurable(tenant);
    const objects = (): number => host.metrics()["log_objects"] ?? 0;
    const before = objects();
    for (const text of ["a", "b", "c"]) {
      await putNote(tenant, text);
      await Bun.sleep(5);
    }
    expect(objects()).toBe(before);
    await clock.pass(limits.asyncFlushMs);
    await untilDurable(tenant);
    expect(objects()).toBe(before + 1);
    await new Promise<void>((resolve) => {
      void tenant.data.write(tenant.observe(), (tx) => {
        tx.run("INSERT INTO notes (text) VALUES ('d')");
        tx.afterDurable(resolve);
      });
    });
    expect(objects()).toBe(before + 2);
  });

  test("has much that nobody waits for in an object at once, what was written again counted once", async () => {
    const clock = new ManualClock();
    const { host, tenant } = await started("async", { clock, asyncLag: { bytesMax: 100_000 } });
    await clock.pass(limits.asyncFlushMs);
    await untilDurable(tenant);
    const objects = (): number => host.metrics()["log_objects"] ?? 0;
    const before = objects();
    for (let count = 0; count < 50; count++) {
      await putNote(tenant, "a");
      clock.jump(limits.asyncLagLookMs);
    }
    await Bun.sleep(20);
    expect(objects()).toBe(before);
    await putNote(tenant, "x".repeat(60_000));
    clock.jump(limits.asyncLagLookMs);
    await putNote(tenant, "last");
    await untilDurable(tenant);
    expect(objects()).toBe(before + 1);
  });

  test("is cut after the same time as others, not with them", async () => {
    const clock = new ManualClock();
    const { host, tenant } = await started("async", { clock });
    const other = await world.at(host, world.create(host, "async"));
    await clock.pass(limits.asyncFlushMs);
    await untilDurable(tenant);
    const objects = (): number => host.metrics()["log_objects"] ?? 0;
    await putNote(tenant, "second");
    await clock.pass(limits.asyncFlushMs / 2);
    await putNote(other, "first");
    const before = objects();
    await clock.pass(limits.asyncFlushMs / 2);
    await untilDurable(tenant);
    expect(objects()).toBe(before + 1);
    const seen = other.observe();
    other.data.read(seen, (db) => db.get("SELECT 1"));
    expect(seen.headers()["x-durable"]).toBe("0");
    await clock.pass(limits.asyncFlushMs / 2);
    await untilDurable(other);
    expect(objects()).toBe(before + 2);
  });

  test("that is lost while the proof is under way confirms nothing", async () => {
    const { host } = await started();
    const tenant = await world.at(host, world.create(host, "async"));
    await putNote(tenant, "first");
    await Bun.sleep(limits.leaseProofMs + 10);
    world.mayAnswer = false;
    const answer = putNote(tenant, "second");
    // Before it is in any cut.
    (tenant as unknown as { broken(error: unknown): void }).broken(new Error("a defect"));
    expect(await codeOf(() => answer)).toBe("commit_unknown");
  });
});

describe("afterDurable", () => {
  test("runs after the object, in order; afterCommit in the same turn", async () => {
    const { tenant } = await started();
    gated.close();
    const order: string[] = [];
    const seen = tenant.observe();
    await tenant.data.write(seen, (tx) => {
      tx.run("INSERT INTO notes (text) VALUES ('x')");
      tx.afterDurable(() => void order.push("durable"));
      tx.afterCommit(() => void order.push("commit"));
    });
    expect(order).toEqual(["commit"]);
    await Bun.sleep(20);
    expect(order).toEqual(["commit"]);
    gated.open();
    await seen.settled();
    await Bun.sleep(1);
    expect(order).toEqual(["commit", "durable"]);
  });

  test("is dropped when the tenant is lost before", async () => {
    const { host, tenant } = await started();
    gated.close();
    let ran = false;
    await tenant.data.write(tenant.observe(), (tx) => {
      tx.run("INSERT INTO notes (text) VALUES ('x')");
      tx.afterDurable(() => void (ran = true));
    });
    await Bun.sleep(5);
    host.abandon();
    gated.open();
    await Bun.sleep(20);
    expect(ran).toBe(false);
  });
});

describe("an async tenant that writes faster than object storage takes", () => {
  const big = "x".repeat(512 * 1024);
  const write = async (tenant: Tenant): Promise<void> => {
    const seen = tenant.observe();
    await tenant.data.write(seen, (tx) => tx.run("INSERT INTO notes (text) VALUES (?)", [big]));
  };

  test("is held back until it has caught up, and refused nothing", async () => {
    const { host, tenant } = await started("async");
    await untilDurable(tenant);
    gated.close();
    await write(tenant);
    await Bun.sleep(5);
    let written = 0;
    const all = Array.from({ length: 24 }, () => write(tenant).then(() => written++));
    while (written < limits.asyncLagBytesMax / big.length - 2) await Bun.sleep(5);
    await Bun.sleep(30);
    expect(written).toBeLessThan(12);
    gated.open();
    await Promise.all(all);
    expect(notes(tenant).length).toBe(26);
    expect(host.metrics()["gate_held_back"]).toBeGreaterThan(0);
  });

  test("is refused when the bound is not left in time, with nothing changed", async () => {
    const { tenant } = await started("async", { clock: fastClock(20) });
    await untilDurable(tenant);
    const trickle = setInterval(() => {
      gated.open();
      gated.close();
    }, 30);
    gated.close();
    try {
      const codes = await Promise.all(
        Array.from({ length: 400 }, () =>
          codeOf(() => write(tenant).then(() => Promise.reject(new UserError("conflict", "written")))),
        ),
      );
      expect(new Set(codes)).toEqual(new Set(["conflict", "overloaded"]));
      expect(notes(tenant).length).toBe(1 + codes.filter((code) => code === "conflict").length);
    } finally {
      clearInterval(trickle);
      gated.open();
    }
  });
});

describe("while object storage does not answer", () => {
  test("durable tenants' writes are refused, pending ones time out, durable reads go on, and all is well afterwards", async () => {
    const { host, id, tenant } = await started("durable", { clock: fastClock(20) });
    gated.close();
    const pending = codeOf(() => putNote(tenant, "second"));
    const reading = codeOf(() => {
      const seen = tenant.observe();
      tenant.data.read(seen, (db) => db.get("SELECT 1"));
      return seen.settled();
    });
    await Bun.sleep(limits.outageRefuseAfterMs / 20 + 20);
    expect(await codeOf(() => putNote(tenant, "third"))).toBe("store_unavailable");
    expect(await pending).toBe("commit_unknown");
    expect(await reading).toBe("store_unavailable");
    gated.open();
    const again = (): Promise<unknown> =>
      putNote(tenant, "fourth").catch((error: unknown) => (error as UserError).code);
    while ((await again()) === "store_unavailable") await Bun.sleep(5);
    expect(notes(tenant)).toEqual(["first", "second", "fourth"]);
    expect(host.metrics()["gate_timeouts"]).toBe(2);
    host.abandon();
    const next = world.host();
    await world.takeOver(host, next);
    expect(notes(await world.at(next, id))).toEqual(["first", "second", "fourth"]);
  });

  test("async tenants answer at once within their bounds, then wait like the others", async () => {
    const { tenant } = await started("async", { clock: fastClock(20) });
    await untilDurable(tenant);
    gated.close();
    const seen = tenant.observe();
    await tenant.data.write(seen, (tx) => tx.run("INSERT INTO notes (text) VALUES ('second')"));
    expect(seen.settled()).toBeUndefined();
    expect(seen.headers()).toEqual({ "x-txid": "data.db=2", "x-durable": "0" });
    await Bun.sleep(limits.asyncLagMsMax / 20 + 20);
    expect(await codeOf(() => putNote(tenant, "third"))).toBe("store_unavailable");
    const late = tenant.observe();
    tenant.data.read(late, (db) => db.get("SELECT 1"));
    expect(await soon(late.settled())).toBe(false);
    gated.open();
  });

  test("operators choose how far async tenants may be ahead", async () => {
    const asyncLag = { msMax: 20 * limits.asyncLagMsMax, bytesMax: 20_000 };
    const { tenant } = await started("async", { clock: fastClock(20), asyncLag });
    await untilDurable(tenant);
    gated.close();
    await putNote(tenant, "second");
    await Bun.sleep(limits.asyncLagMsMax / 20 + 20);
    await putNote(tenant, "third");
    const seen = tenant.observe();
    await tenant.data.write(seen, (tx) =>
      tx.run("INSERT INTO notes (text) VALUES (?)", ["x".repeat(asyncLag.bytesMax)]),
    );
    expect(await codeOf(() => putNote(tenant, "fifth"))).toBe("store_unavailable");
    gated.open();
    await seen.settled();
    expect(notes(tenant)).toHaveLength(4);
  });

  test("auxiliary.db is never waited for", async () => {
    const { tenant } = await started();
    gated.close();
    const seen = tenant.observe();
    await tenant.database(AUXILIARY_DB).write(seen, (tx) => tx.exec("CREATE TABLE logs (id)"));
    expect(seen.settled()).toBeUndefined();
    gated.open();
  });
});
