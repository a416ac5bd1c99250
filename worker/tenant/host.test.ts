/** Who owns a tenant, how it comes and goes. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DATA_DB, type Epoch, type LogSeq, type TenantId, hex16 } from "../../shared/ids.ts";
import { encodeLogObject } from "../../shared/log/encode.ts";
import { UserError } from "../../shared/errors.ts";
import { logKey } from "../../shared/objects/layout.ts";
import type { Tenant, WriteTransaction } from "./contract.ts";
import type { ControlPort } from "./host.ts";
import type { LoadedTenant } from "./loaded-tenant.ts";
import { type TestHost, TestWorld, codeOf, newNonce, notes, putNote, slowStore } from "./test-world.ts";

let world: TestWorld;
beforeEach(async () => {
  world = await TestWorld.open();
});
afterEach(() => world.close());

async function started(): Promise<{ host: TestHost; id: TenantId; tenant: Tenant }> {
  const host = world.host();
  const id = world.create(host);
  return { host, id, tenant: await world.at(host, id) };
}

const epoch = (n: number): Epoch => n as Epoch;

test("files on their way are below the worker's directory, which goes when another starts after a crash", async () => {
  const { host, tenant } = await started();
  const own = hex16(host.incarnation);
  expect(tenant.temporary).toBe(join(world.directory, own, "temporary"));
  const killed = tenant.temporary.replace(own, own.replaceAll("0", "f"));
  mkdirSync(killed, { recursive: true });
  writeFileSync(join(killed, "backup-1"), "");
  world.host();
  expect(existsSync(killed)).toBe(false);
  expect(existsSync(tenant.temporary)).toBe(true);
});

describe("acquire", () => {
  test("is synchronous for a loaded tenant, and loads once for concurrent callers", async () => {
    const host = world.host();
    const id = world.create(host);
    const [a, b] = await Promise.all([host.acquire(id, epoch(1)), host.acquire(id, epoch(1))]);
    expect(a).toBe(b);
    expect(host.acquire(id, epoch(1))).toBe(a);
    expect(host.size).toBe(1);
    expect(host.metrics()["tenant_loads"]).toBe(1);
  });

  test("hands nobody a tenant whose bootstrap has not ended", async () => {
    const bootstrapped = Promise.withResolvers<void>();
    const host = world.host({ bootstrap: () => bootstrapped.promise });
    const id = world.create(host);
    const first = host.acquire(id, epoch(1));
    await Bun.sleep(20);
    const second = host.acquire(id, epoch(1));
    expect(second).toBeInstanceOf(Promise);
    bootstrapped.resolve();
    expect(await first).toBe(await second);
  });

  test("tries again after a failed bootstrap", async () => {
    let fails = true;
    const host = world.host({
      bootstrap: () => (fails ? Promise.reject(new Error("no")) : Promise.resolve()),
    });
    const id = world.create(host);
    expect(
      String(await Promise.resolve(host.acquire(id, epoch(1))).catch((error: unknown) => error)),
    ).toContain("no");
    fails = false;
    await putNote(await world.at(host, id), "one");
  });

  test("refuses what control does not give to this incarnation at that epoch", async () => {
    const { host, id, tenant } = await started();
    const other = world.host();
    expect(await codeOf(() => other.acquire(id, epoch(1)))).toBe("not_owner");
    expect(await codeOf(() => host.acquire(id, epoch(2)))).toBe("not_owner");
    expect(await codeOf(() => other.acquire("aaaaaaaaaaaaaaa" as TenantId, epoch(1)))).toBe("not_owner");
    world.known(id).epoch = 3;
    expect(await world.at(host, id)).not.toBe(tenant);
    const older = await Promise.resolve(host.acquire(id, epoch(2))).catch((error: unknown) => error);
    expect(older).toBeInstanceOf(UserError);
    expect((older as UserError).details).toEqual({ incarnation: host.incarnation, epoch: 3 });
  });

  test("a higher epoch drops what is loaded and loads again", async () => {
    const { host, id, tenant } = await started();
    await putNote(tenant, "one");
    world.known(id).epoch = 2;
    const again = await world.at(host, id);
    expect(tenant.gone.aborted).toBe(true);
    expect(notes(again)).toEqual(["one"]);
    await putNote(again, "two");
    const next = world.host();
    host.abandon();
    await world.takeOver(host, next);
    expect(notes(await world.at(next, id))).toEqual(["one", "two"]);
  });
});

describe("release", () => {
  test("leaves everything under the prefix and nothing on the disk", async () => {
    const { host, id, tenant } = await started();
    await putNote(tenant, "one");
    void putNote(tenant, "two");
    const base = await host.release(id);
    expect(base[DATA_DB]?.txid).toBeGreaterThan(0);
    expect(tenant.gone.aborted).toBe(true);
    expect(host.size).toBe(0);
    expect(existsSync(join(world.directory, hex16(host.incarnation), id))).toBe(false);
    const next = world.host();
    world.give(id, base, next);
    expect(notes(await world.at(next, id))).toEqual(["one", "two"]);
  });

  test("nobody writes under a released epoch again", async () => {
    const { host, id, tenant } = await started();
    await putNote(tenant, "one");
    await host.release(id);
    expect(await codeOf(() => host.acquire(id, epoch(1)))).toBe("not_owner");
    expect(await codeOf(() => tenant.data.write(tenant.observe(), () => 1))).toBe("tenant_moving");
  });

  test("an answer whose write was durable leaves although the tenant has gone", async () => {
    const { host, id, tenant } = await started();
    const seen = tenant.observe();
    await tenant.data.write(seen, (tx: WriteTransaction) => tx.exec("CREATE TABLE t (a)"));
    await host.release(id);
    await seen.settled();
    expect(seen.headers()["x-durable"]).toBe("1");
  });
});

describe("stop", () => {
  test("releases all and seals the log below nothing that was acknowledged", async () => {
    const { host, id, tenant } = await started();
    await putNote(tenant, "one");
    const exit = await host.stop();
    expect(exit.released.map((one) => one.tenant)).toEqual([id]);
    expect(exit.endSeq).toBeGreaterThan(1);
    // A sealer that comes later finds the same end.
    const next = world.host();
    expect(await world.takeOver(host, next)).toBe(exit.endSeq);
    expect(notes(await world.at(next, id))).toEqual(["one"]);
    expect(await codeOf(() => host.acquire(id, epoch(1)))).toBe("tenant_moving");
  });
});

describe("fencing", () => {
  test("ends a stop that is under way, whatever it waits for", async () => {
    const host = world.host({ store: slowStore(world.store, "/litestream/", 10_000) });
    const ids = Array.from({ length: 10 }, () => world.create(host));
    for (const id of ids) await putNote(await world.at(host, id), "one");
    const stopping = codeOf(() => host.stop());
    const releasing = codeOf(() => host.release(ids[0] as TenantId));
    await Bun.sleep(30);
    host.abandon();
    expect(await stopping).toBe("fenced");
    expect(["fenced", "not_owner"]).toContain(await releasing);
    const next = world.host();
    await world.takeOver(host, next);
    for (const id of ids) expect(notes(await world.at(next, id))).toEqual(["one"]);
  });

  test("a foreign object in the log stops every tenant and acknowledges nothing more", async () => {
    const { host, id, tenant } = await started();
    await putNote(tenant, "one");
    const next = world.host();
    await world.takeOver(host, next);
    expect(await codeOf(() => putNote(tenant, "two"))).toBe("commit_unknown");
    expect(host.fenced.aborted).toBe(true);
    expect(tenant.gone.aborted).toBe(true);
    expect(await codeOf(() => host.acquire(id, epoch(1)))).toBe("fenced");
    expect(notes(await world.at(next, id))).toEqual(["one"]);
  });

  test("an entry above the end of a sealed log is void", async () => {
    const { host, id, tenant } = await started();
    await putNote(tenant, "one");
    host.abandon();
    const next = world.host();
    const endSeq = await world.takeOver(host, next);
    const seq = (endSeq + 4) as LogSeq;
    const header = {
      incarnation: host.incarnation,
      seq,
      nonce: host.nonce,
      kind: "entries" as const,
      lowWatermark: 0 as LogSeq,
    };
    await world.store.put(logKey(host.incarnation, seq), encodeLogObject(header, []));
    expect(notes(await world.at(next, id))).toEqual(["one"]);
  });

  test("a second sealer, and a second failure before anything was materialised, lose nothing", async () => {
    const { host, id, tenant } = await started();
    await putNote(tenant, "one");
    host.abandon();
    const second = world.host({ control: deafControl() });
    const end = await world.takeOver(host, second);
    const two = await second.acquire(id, epoch(2));
    await putNote(two, "two");
    second.abandon();
    const third = world.host();
    await world.takeOver(second, third, newNonce());
    expect(world.known(id).tails.map((tail) => tail.endSeq)[0]).toBe(end);
    expect(world.known(id).tails.length).toBe(2);
    expect(notes(await world.at(third, id))).toEqual(["one", "two"]);
  });

  /** Control hears no report, so that tails stay. */
  function deafControl(): ControlPort {
    return {
      assignment: (tenant) => Promise.resolve(world.assignment(tenant)),
      report: () => Promise.reject(new Error("control is away")),
      mayAnswer: () => true,
    };
  }
});

describe("a tenant that must stop", () => {
  test("is loaded again with all that was durable, in the same epoch", async () => {
    const { host, id, tenant } = await started();
    await putNote(tenant, "one");
    const { path } = (tenant as LoadedTenant).database(DATA_DB);
    await Bun.$`rm ${path}-wal`.quiet();
    expect(await codeOf(() => putNote(tenant, "two"))).toBe("commit_unknown");
    expect(tenant.gone.aborted).toBe(true);
    expect(world.errors.length).toBe(1);
    const again = await world.at(host, id);
    expect(notes(again)).toEqual(["one"]);
    await putNote(again, "three");
    host.abandon();
    const next = world.host();
    await world.takeOver(host, next);
    expect(notes(await world.at(next, id))).toEqual(["one", "three"]);
  });
});

describe("local files", () => {
  test("of incarnations that are gone are removed, those of live ones stay", async () => {
    const { host, tenant } = await started();
    await putNote(tenant, "one");
    const dead = join(world.directory, hex16(999));
    await Bun.$`mkdir -p ${dead}/abc && echo 4194304 > ${dead}/owner.pid`.quiet();
    const next = world.host();
    expect(readdirSync(world.directory).toSorted()).toEqual([
      hex16(host.incarnation),
      hex16(next.incarnation),
    ]);
  });
});
