/** Commits of more pages than one turn encodes: a thread does it while everything else goes on. */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DATA_DB, type TenantId, hex16 } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { bulkThreads } from "../replication/bulk/threads.ts";
import type { BulkWork } from "../replication/bulk/work.ts";
import type { Observation, Tenant } from "./contract.ts";
import type { LoadedTenant } from "./loaded-tenant.ts";
import { type TestHost, TestWorld, codeOf, fastClock, notes, putNote } from "./test-world.ts";

let world: TestWorld;
let host: TestHost;
let id: TenantId;
let tenant: Tenant;
let held: { work: BulkWork; started: Promise<void>; go: () => void; fail: (error: Error) => void };

beforeEach(async () => {
  world = await TestWorld.open();
  held = holding();
  // A busy machine is no outage of the store.
  host = world.host({ bulkWork: held.work, clock: fastClock(0.05) });
  id = world.create(host);
  tenant = await world.at(host, id);
  await putNote(tenant, "before");
});
afterEach(() => world.close());

/** Threads that begin with large commits when they are told to. */
function holding(): typeof held {
  const started = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  return {
    started: started.promise,
    go: gate.resolve,
    fail: gate.reject,
    work: {
      async run(kind, job, chunks, signal) {
        if (kind === "pages") {
          started.resolve();
          await gate.promise;
        }
        return bulkThreads().run(kind, job, chunks, signal);
      },
    },
  };
}

const BLOBS = Math.ceil(limits.cutInTurnBytesMax / 2 ** 20) + 1;

async function putLarge(): Promise<Observation> {
  const seen = tenant.observe();
  await tenant.data.write(seen, (tx) => {
    tx.exec("CREATE TABLE blobs (id INTEGER PRIMARY KEY, body BLOB)");
    for (let i = 0; i < BLOBS; i++) tx.run("INSERT INTO blobs (body) VALUES (randomblob(1048576))");
  });
  return seen;
}

const blobs = (at: Tenant): string[] =>
  at.data.read(at.observe(), (db) =>
    db.all<{ body: Uint8Array }>("SELECT body FROM blobs").map(({ body }) => Bun.hash(body).toString()),
  );

async function nextOwner(): Promise<Tenant> {
  host.abandon();
  const next = world.host();
  await world.takeOver(host, next);
  return world.at(next, id);
}

const leftovers = (): string[] =>
  readdirSync(join(world.directory, hex16(host.incarnation), id)).filter((name) => name.endsWith(".cut"));

test("others go on meanwhile; what the tenant commits then is durable after it", async () => {
  const large = await putLarge();
  await held.started;
  const later = tenant.observe();
  await tenant.data.write(later, (tx) => tx.run("INSERT INTO notes (text) VALUES ('later')"));
  await putNote(await world.at(host, world.create(host)), "of another tenant");
  expect([notes(tenant), blobs(tenant).length]).toEqual([["before", "later"], BLOBS]);
  const order: string[] = [];
  const settled = [
    Promise.resolve(later.settled()).then(() => order.push("later")),
    Promise.resolve(large.settled()).then(() => order.push("large")),
  ];
  expect(order).toEqual([]);
  held.go();
  await Promise.all(settled);
  expect(order).toEqual(["large", "later"]);
  expect([large.headers()["x-txid"], later.headers()["x-txid"]]).toEqual(["data.db=2", "data.db=3"]);
  expect(leftovers()).toEqual([]);
  expect((tenant as LoadedTenant).database(DATA_DB).lagBytes()).toBe(0);
  const hashes = blobs(tenant);
  const there = await nextOwner();
  expect([notes(there), blobs(there)]).toEqual([["before", "later"], hashes]);
});

test("a tenant that leaves waits for it", async () => {
  await putLarge();
  await held.started;
  const hashes = blobs(tenant);
  const released = host.release(id);
  held.go();
  const next = world.host();
  world.give(id, await released, next);
  const there = await world.at(next, id);
  expect([notes(there), blobs(there)]).toEqual([["before"], hashes]);
});

test("a worker that dies meanwhile leaves nothing of it", async () => {
  const large = await putLarge();
  await held.started;
  const there = await nextOwner();
  held.go();
  expect(await codeOf(() => large.settled())).toBe("commit_unknown");
  expect(notes(there)).toEqual(["before"]);
  expect(() => blobs(there)).toThrow(/no such table/);
});

test("when it cannot be done the tenant stops, and is loaded again as it was before", async () => {
  const large = await putLarge();
  await held.started;
  held.fail(new Error("a test fails it"));
  expect(await codeOf(() => large.settled())).toBe("commit_unknown");
  tenant = await world.at(host, id);
  await putNote(tenant, "after");
  const there = await nextOwner();
  expect(notes(there)).toEqual(["before", "after"]);
});

test("a checkpoint by anybody else meanwhile stops the tenant", async () => {
  const large = await putLarge();
  await held.started;
  const other = new Database(join(world.directory, hex16(host.incarnation), id, DATA_DB));
  other.query("PRAGMA wal_checkpoint(RESTART)").all();
  other.run("INSERT INTO notes (text) VALUES ('of a stranger')");
  other.close();
  held.go();
  expect(await codeOf(() => large.settled())).toBe("commit_unknown");
  expect(world.errors.map((error) => (error as { code?: string }).code)).toEqual(["wal_lost"]);
  expect(notes(await nextOwner())).toEqual(["before"]);
});
