/** What a load accepts, and what it must refuse. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { DATA_DB, type DatabaseName, type Epoch, type TenantId, type Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { decodeLogObject } from "../../shared/log/decode.ts";
import { encodeLogObject } from "../../shared/log/encode.ts";
import type { LogEntry } from "../../shared/log/log.ts";
import { decodeLtx } from "../../shared/ltx/decode.ts";
import { encodeLtx } from "../../shared/ltx/encode.ts";
import { ltxPages } from "../../shared/ltx/ltx.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { logPrefix, tenantPrefix } from "../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import type { Tenant } from "./contract.ts";
import type { LoadedTenant } from "./loaded-tenant.ts";
import { type TestHost, TestWorld, codeOf, notes, putNote, slowStore } from "./test-world.ts";

let world: TestWorld;
beforeEach(async () => {
  world = await TestWorld.open();
});
afterEach(() => world.close());

async function keys(store: ObjectStore, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of listAll(store, { prefix })) found.push(key);
  return found;
}

async function killed(texts: readonly string[]): Promise<{ id: TenantId; dead: TestHost; next: TestHost }> {
  const dead = world.host();
  const id = world.create(dead);
  const tenant = await world.at(dead, id);
  for (const text of texts) await putNote(tenant, text);
  dead.abandon();
  const next = world.host();
  await world.takeOver(dead, next);
  return { id, dead, next };
}

/** Stops cleanly and starts elsewhere. */
async function moved(id: TenantId, from: TestHost): Promise<{ next: TestHost; tenant: Tenant }> {
  const base = await from.release(id);
  const next = world.host();
  world.give(id, base, next);
  return { next, tenant: await world.at(next, id) };
}

describe("creation", () => {
  test("is allowed for a virgin tenant only", async () => {
    const host = world.host();
    const id = world.create(host);
    world.known(id).virgin = false;
    expect(await codeOf(() => world.at(host, id))).toBe("tenant_missing");
    expect(await keys(world.store, "")).toEqual([]);
  });

  test("of a virgin tenant that has data loads the data", async () => {
    const { id, next } = await killed(["one"]);
    expect(world.known(id).virgin).toBe(true);
    expect(notes(await world.at(next, id))).toEqual(["one"]);
  });

  test("does not happen when the bucket was emptied", async () => {
    const { id, next } = await killed(["one"]);
    const { next: third } = await world.at(next, id).then(() => moved(id, next));
    const base = await third.release(id);
    world.give(id, base, third);
    await world.store.delete(await keys(world.store, tenantPrefix(id)));
    const last = world.host();
    world.known(id).incarnation = last.incarnation;
    expect(await codeOf(() => world.at(last, id))).toBe("chain_gap");
  });
});

describe("tails", () => {
  test("are read together after a worker stopped and loaded a tenant anew before it wrote to it", async () => {
    const { id, next, dead } = await killed(["one"]);
    const first = [...world.known(id).tails];
    ((await world.at(next, id)) as LoadedTenant).broken(new Error("a test stops it"));
    const again = await world.at(next, id);
    await putNote(again, "two");
    next.abandon();
    const third = world.host();
    await world.takeOver(next, third);
    // Control has not heard that the first one is not needed any more.
    const second = world.known(id).tails.filter((tail) => tail.incarnation !== dead.incarnation);
    world.known(id).tails = [...first, ...second];
    expect(notes(await world.at(third, id))).toEqual(["one", "two"]);
  });

  test("go under the prefix right after the load, and then control may forget them", async () => {
    const { id, next, dead } = await killed(["one", "two"]);
    await world.at(next, id);
    for (let i = 0; i < 100 && world.known(id).tails.length > 0; i++) await Bun.sleep(5);
    expect(world.known(id).tails).toEqual([]);
    expect(world.known(id).base[DATA_DB]?.txid).toBe(2 as Txid);
    await world.store.delete(await keys(world.store, logPrefix(dead.incarnation)));
    const { tenant } = await moved(id, next);
    expect(notes(tenant)).toEqual(["one", "two"]);
  });

  test("with a missing log object are refused, and nothing is changed", async () => {
    const { id, next, dead } = await killed(["one", "two", "three"]);
    const [, second] = await keys(world.store, logPrefix(dead.incarnation));
    const body = await getBytes(world.store, second as string);
    await world.store.delete([second as string]);
    expect(await codeOf(() => world.at(next, id))).toBe("log_corrupt");
    await world.store.put(second as string, body as Uint8Array);
    expect(notes(await world.at(next, id))).toEqual(["one", "two", "three"]);
  });

  test("with a damaged log object are refused", async () => {
    const { id, next, dead } = await killed(["one", "two"]);
    const [first] = await keys(world.store, logPrefix(dead.incarnation));
    const body = (await getBytes(world.store, first as string)) as Uint8Array;
    body[200] = (body[200] as number) ^ 1;
    await world.store.put(first as string, body);
    expect(await codeOf(() => world.at(next, id))).toBe("object_corrupt");
  });

  test("whose entries were exchanged are refused, though every checksum is right", async () => {
    const { id, next, dead } = await killed(["one", "two"]);
    const [, second] = await keys(world.store, logPrefix(dead.incarnation));
    const object = decodeLogObject((await getBytes(world.store, second as string)) as Uint8Array);
    const entries = object.entries.map((entry): LogEntry => {
      if (entry.kind !== "data") return entry;
      const { header, pages } = decodeLtx(entry.ltx);
      return {
        ...entry,
        ltx: encodeLtx({ ...header, timestampMs: header.timestampMs + 1 }, ltxPages(pages)),
      };
    });
    await world.store.put(second as string, encodeLogObject(object.header, entries));
    expect(await codeOf(() => world.at(next, id))).toBe("object_corrupt");
  });

  test("are reported as cleared only when all databases are under the prefix", async () => {
    const dead = world.host();
    const id = world.create(dead);
    const tenant = await world.at(dead, id);
    const name = "hooks.db" as DatabaseName;
    const seen = tenant.observe();
    await tenant.database(name).write(seen, (tx) => tx.exec("CREATE TABLE h (a)"));
    await putNote(tenant, "one");
    await seen.settled();
    dead.abandon();
    const next = world.host({ store: slowStore(world.store, "litestream/hooks.db", 50) });
    await world.takeOver(dead, next);
    await world.at(next, id);
    for (let i = 0; i < 100 && world.known(id).tails.length > 0; i++) await Bun.sleep(5);
    const clearing = world.reports.filter((report) => (report.cleared?.length ?? 0) > 0);
    expect(clearing.map((report) => Object.keys(report.base ?? {}).toSorted())).toEqual([
      ["data.db", "hooks.db"],
    ]);
  });

  test("that control does not name leave the load below its base", async () => {
    const dead = world.host();
    const id = world.create(dead);
    await putNote(await world.at(dead, id), "one");
    const { next, tenant } = await moved(id, dead);
    await putNote(tenant, "two");
    next.abandon();
    const third = world.host();
    await world.takeOver(next, third);
    Object.assign(world.known(id), { tails: [], base: { [DATA_DB]: { txid: 2, entryHash: "" } } });
    expect(await codeOf(() => world.at(third, id))).toBe("chain_gap");
  });

  test("are checked against the hash that control was told", async () => {
    const { id, next } = await killed(["one", "two"]);
    world.known(id).base = { [DATA_DB]: { txid: 1 as Txid, entryHash: "A".repeat(43) } };
    expect(await codeOf(() => world.at(next, id))).toBe("object_corrupt");
  });

  test("of one dead worker are read once for all its tenants", async () => {
    const dead = world.host();
    const ids = Array.from({ length: 5 }, () => world.create(dead));
    for (const id of ids) await putNote(await world.at(dead, id), id);
    dead.abandon();
    let footers = 0;
    const counted: ObjectStore = new Proxy(world.store, {
      get(store, name): unknown {
        const value: unknown = Reflect.get(store, name, store);
        if (typeof value !== "function") return value;
        return (...args: unknown[]): unknown => {
          if (name === "range" && "suffix" in (args[1] as object)) footers++;
          return (value as (...args: unknown[]) => unknown).apply(store, args);
        };
      },
    });
    const next = world.host({ store: counted });
    const end = await world.takeOver(dead, next);
    const loaded = await Promise.all(ids.map((id) => world.at(next, id)));
    expect(loaded.map(notes)).toEqual(ids.map((id) => [id]));
    expect(footers).toBe(end - 1);
  });
});

describe("the chain under the prefix", () => {
  test("is refused when a file is missing in the middle", async () => {
    const host = world.host();
    const id = world.create(host);
    await putNote(await world.at(host, id), "one");
    const second = await moved(id, host);
    await putNote(second.tenant, "two");
    const third = await moved(id, second.next);
    await putNote(third.tenant, "three");
    const fourth = await moved(id, third.next);
    expect(notes(fourth.tenant)).toEqual(["one", "two", "three"]);
    const base = await fourth.next.release(id);
    world.give(id, base, fourth.next);
    const files = await keys(world.store, `${tenantPrefix(id)}litestream/`);
    const middle = files.find((key) => key.includes("/0001/0000000000000002-")) as string;
    await world.store.delete([middle]);
    const last = world.host();
    world.known(id).incarnation = last.incarnation;
    expect(await codeOf(() => world.at(last, id))).toBe("chain_gap");
  });

  test("becomes a snapshot when it is too long, and loads read little", async () => {
    let host = world.host();
    const id = world.create(host);
    let tenant = await world.at(host, id);
    // Each move makes one file.
    for (let i = 0; i < limits.snapshotChainFilesMax + 3; i++) {
      await putNote(tenant, String(i));
      const base = await host.release(id);
      world.give(id, base, host);
      tenant = await world.at(host, id);
    }
    // Whoever waited for the moves did not wait for a snapshot; the owner at rest takes it.
    const snapshots = (): Promise<string[]> =>
      keys(world.store, `${tenantPrefix(id)}litestream/data.db/0009/`);
    for (let i = 0; i < 100 && (await snapshots()).length < 2; i++) await Bun.sleep(10);
    expect((await snapshots()).length).toBe(2);
    host.abandon();
    const next = world.host();
    await world.takeOver(host, next);
    host = next;
    expect(notes(await world.at(host, id)).length).toBe(limits.snapshotChainFilesMax + 3);
  });

  test("holds nothing before it is durable, and is written when entries are many", async () => {
    const host = world.host();
    const id = world.create(host);
    const tenant = await world.at(host, id);
    for (let i = 0; i < limits.materialiseEntries; i++) await putNote(tenant, String(i));
    for (let i = 0; i < 100 && world.known(id).base[DATA_DB] === undefined; i++) await Bun.sleep(5);
    expect(world.known(id).base[DATA_DB]?.txid).toBe(limits.materialiseEntries as Txid);
    expect(await keys(world.store, `${tenantPrefix(id)}litestream/`)).toEqual([
      `${tenantPrefix(id)}litestream/data.db/0009/0000000000000001-0000000000000100.ltx`,
    ]);
    await putNote(tenant, "more");
    host.abandon();
    const next = world.host();
    await world.takeOver(host, next);
    expect(notes(await world.at(next, id)).at(-1)).toBe("more");
  });

  test("of somebody else is not overwritten: the tenant stops", async () => {
    const host = world.host();
    const id = world.create(host);
    const tenant = await world.at(host, id);
    await putNote(tenant, "one");
    const other = world.create(host);
    await putNote(await world.at(host, other), "something else");
    await host.release(other);
    const [foreign] = await keys(world.store, `${tenantPrefix(other)}litestream/`);
    const body = (await getBytes(world.store, foreign as string)) as Uint8Array;
    body[15] = 9;
    const key = (foreign as string).replace(other, id);
    await world.store.put(key, body);
    expect(await codeOf(() => host.release(id))).toBe("object_foreign");
    expect(await getBytes(world.store, key)).toEqual(body);
    expect(tenant.gone.aborted).toBe(true);
  });
});

test("other databases come back, too", async () => {
  const host = world.host();
  const id = world.create(host);
  const name = "hooks.db" as DatabaseName;
  const tenant = await world.at(host, id);
  const seen = tenant.observe();
  await tenant.database(name).write(seen, (tx) => tx.exec("CREATE TABLE h (a); INSERT INTO h VALUES (7)"));
  await putNote(tenant, "one");
  await seen.settled();
  expect(seen.headers()["x-txid"]).toBe("hooks.db=1");
  host.abandon();
  const next = world.host();
  await world.takeOver(host, next);
  const again = await next.acquire(id, 2 as Epoch);
  expect(again.database(name).read(again.observe(), (db) => db.values("SELECT a FROM h"))).toEqual([[7]]);
});
