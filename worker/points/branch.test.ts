/** Branches: what they read, what keeps it, and how they come to stand alone. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DATA_DB, type TenantId, type Txid, newTenantId } from "../../shared/ids.ts";
import {
  condemnedKey,
  metadataKey,
  pinKey,
  storageKey,
  storagePrefix,
  tenantPrefix,
} from "../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { BranchPoint, Point } from "../../shared/protocol/points.ts";
import { keyringFile } from "../encryption/encryption-fixture.ts";
import { openKeyProvider } from "../encryption/key-provider.ts";
import { faultyStore } from "../objects/faults.ts";
import type { Tenant } from "../tenant/contract.ts";
import type { LoadedTenant } from "../tenant/loaded-tenant.ts";
import { ManualClock } from "../tenant/manual-clock.ts";
import { type TestHost, TestWorld, codeOf, newNonce, notes, putNote } from "../tenant/test-world.ts";
import { detachBranch } from "./detach.ts";
import { takeOwnSnapshots } from "./own-snapshot.ts";
import { pinBranch } from "./pin-branch.ts";

const HOUR = 60 * 60_000;
const DAY = 24 * HOUR;
let world: TestWorld;
let clock: ManualClock;
let store: ObjectStore;
let host: TestHost;
beforeEach(async () => {
  world = await TestWorld.open();
  clock = new ManualClock();
  store = clock.timed(world.store);
  host = world.host({ store, clock });
});
afterEach(() => world.close());

const signal = (): AbortSignal => AbortSignal.timeout(30_000);
const newId = (): TenantId => newTenantId((n) => crypto.getRandomValues(new Uint8Array(n)));

async function parentWith(...texts: string[]): Promise<{ id: TenantId; tenant: Tenant }> {
  const id = world.create(host);
  const tenant = await world.at(host, id);
  for (const text of texts) await putNote(tenant, text);
  return { id, tenant };
}

async function branchOf(parent: Tenant, at?: Point): Promise<{ id: TenantId; point: BranchPoint }> {
  const id = newId();
  const request = { branch: id, ...(at === undefined ? {} : { at }) };
  const point = await pinBranch(parent, request, signal());
  world.branch(host, id, parent.id, point.databases);
  return { id, point };
}

function bytesOf(tenant: Tenant): Uint8Array {
  const reader = new Database((tenant as LoadedTenant).database(DATA_DB).path, { readonly: true });
  try {
    return reader.serialize();
  } finally {
    reader.close();
  }
}

async function keys(prefix: string): Promise<string[]> {
  return (await Array.fromAsync(listAll(world.store, { prefix }))).map(({ key }) => key.slice(prefix.length));
}

describe("a branch", () => {
  test("is its parent at that point, byte for byte, and goes its own way from there", async () => {
    const { tenant: parent } = await parentWith("one", "two");
    const then = bytesOf(parent);
    const { id, point } = await branchOf(parent);
    expect(await keys(tenantPrefix(id))).toEqual([]);
    await putNote(parent, "three");
    const branch = await world.at(host, id);
    expect(Buffer.compare(bytesOf(branch), then)).toBe(0);
    const headers = await putNote(branch, "other");
    expect(headers["x-txid"]).toBe(`data.db=${point.point.txid + 1}`);
    expect(notes(branch)).toEqual(["one", "two", "other"]);
    expect(notes(parent)).toEqual(["one", "two", "three"]);
    // A snapshot of its own soon, and then everything without the parent.
    await branch.history.materialise();
    expect((await keys(`${tenantPrefix(id)}litestream/data.db/0009/`)).length).toBeGreaterThan(0);
    for (const key of await keys(tenantPrefix(parent.id)))
      await world.store.delete([tenantPrefix(parent.id) + key]);
    const base = await host.release(id);
    world.give(id, base, host);
    expect(notes(await world.at(host, id))).toEqual(["one", "two", "other"]);
    expect(world.errors).toEqual([]);
  });

  test("begins at a flush in the middle of a bundle, and at a time", async () => {
    const { tenant: parent } = await parentWith("one", "two", "three");
    const { id } = await branchOf(parent, 2 as Txid);
    expect(notes(await world.at(host, id))).toEqual(["one", "two"]);
    await clock.pass(1_000);
    const { id: later } = await branchOf(parent, new Date(clock.nowMs()).toISOString());
    expect(notes(await world.at(host, later))).toEqual(["one", "two", "three"]);
  });

  test("survives a kill before it has a snapshot: its first writes are in its own log", async () => {
    const { tenant: parent } = await parentWith("one");
    const { id } = await branchOf(parent);
    await host.release(parent.id).then((base) => world.give(parent.id, base, host));
    const branch = await world.at(host, id);
    await putNote(branch, "mine");
    host.abandon();
    const next = world.host({ store, clock });
    await world.takeOver(host, next);
    expect(notes(await world.at(next, id))).toEqual(["one", "mine"]);
  });

  test("keeps what it reads for as long as its pin is there, whatever the parent's maintenance merges and clears", async () => {
    const { id: parentId, tenant: parent } = await parentWith("one", "two", "three");
    const { id } = await branchOf(parent, 2 as Txid);
    // Stands between what maintenance looks at.
    await store.put(metadataKey(parentId, 1, 1), new Uint8Array(1));
    const pinned = async (): Promise<boolean[]> => {
      const bytes = await getBytes(world.store, pinKey(parentId, id));
      const { keys: needed } = JSON.parse(new TextDecoder().decode(bytes)) as { keys: string[] };
      return Promise.all(needed.map(async (key) => (await world.store.head(key)) !== undefined));
    };
    for (let day = 0; day < 45; day++) {
      await putNote(parent, `${day}`);
      await clock.pass(DAY);
    }
    expect(await pinned()).not.toContain(false);
    expect(notes(await world.at(host, id))).toEqual(["one", "two"]);
    await world.store.delete([pinKey(parentId, id)]);
    await putNote(parent, "more");
    await clock.pass(2 * DAY);
    expect(
      (await keys(`${tenantPrefix(parentId)}flushes/data.db/`)).some((name) =>
        name.startsWith("0000000000000001-"),
      ),
    ).toBe(false);
    expect(world.errors).toEqual([]);
  }, 60_000);

  test("is refused where something that it needs is condemned, and for a branch", async () => {
    const { id: parentId, tenant: parent } = await parentWith("one", "two");
    await parent.history.materialise();
    const [snapshot] = await keys(`${tenantPrefix(parentId)}litestream/data.db/0009/`);
    const record = condemnedKey(parentId, 1 as never, newNonce());
    const needed = `${tenantPrefix(parentId)}litestream/data.db/0009/${snapshot}`;
    await world.store.put(record, new TextEncoder().encode(JSON.stringify({ keys: [needed] })));
    expect(await codeOf(() => pinBranch(parent, { branch: newId() }, signal()))).toBe("conflict");
    await world.store.delete([record]);
    const { id } = await branchOf(parent);
    const branch = await world.at(host, id);
    expect(await codeOf(() => pinBranch(branch, { branch: newId() }, signal()))).toBe("conflict");
  });

  test("is not promised by a worker whose log was sealed meanwhile", async () => {
    const { tenant: parent } = await parentWith("one");
    await parent.history.materialise();
    await world.takeOver(host, world.host({ store, clock }));
    expect(await codeOf(() => pinBranch(parent, { branch: newId() }, signal()))).toBe("fenced");
  });

  test("pinned twice is pinned once, at the same point", async () => {
    const { tenant: parent } = await parentWith("one");
    const branch = newId();
    const first = await pinBranch(parent, { branch }, signal());
    await putNote(parent, "two");
    expect(await pinBranch(parent, { branch }, signal())).toEqual(first);
  });
});

test("detaching makes the snapshot that a branch has not got yet, of files and of flushes in a bundle", async () => {
  const { tenant: parent } = await parentWith("one", "two", "three");
  await parent.history.materialise();
  await putNote(parent, "four");
  await parent.history.materialise();
  for (const at of [2, 4] as Txid[]) {
    const { id, point } = await branchOf(parent, at);
    const origin = world.known(id).origin;
    if (origin === undefined) throw new Error("no branch");
    // Nobody has loaded it: nothing of it is there.
    const { clock: time } = parent.history;
    const source = { store, clock: time, signal: signal(), open: <Entry>(entry: Entry): Entry => entry };
    await takeOwnSnapshots(source, id, origin, mkdtempSync(join(tmpdir(), "branch-own-")));
    expect(await keys(`${tenantPrefix(id)}litestream/data.db/0009/`)).toHaveLength(1);
    await takeOwnSnapshots(source, id, origin, tmpdir());
    const known = world.known(id);
    delete known.origin;
    await world.store.delete([pinKey(parent.id, id)]);
    expect(notes(await world.at(host, id))).toEqual(["one", "two", "three", "four"].slice(0, at));
    expect(point.point.txid).toBe(at);
  }
});

test("a branch of an encrypted tenant is sealed with its own key, and its flushes and uploads come through", async () => {
  const keyring = mkdtempSync(join(tmpdir(), "branch-keys-"));
  const keyProvider = openKeyProvider(`local:${keyringFile(keyring, ["one"])}`);
  host = world.host({ store, clock, keyProvider });
  const parentId = world.create(host, "durable", { encrypted: true });
  const parent = await world.at(host, parentId);
  for (const text of ["one", "two", "three"]) await putNote(parent, text);
  const upload = new TextEncoder().encode("of the parent");
  await parent.objects.put(storageKey(parentId, "c", "r", "a"), upload);
  const { id } = await branchOf(parent, 2 as Txid);
  const branch = await world.at(host, id);
  expect(notes(branch)).toEqual(["one", "two"]);
  const key = storageKey(id, "c", "r", "a");
  expect(await getBytes(branch.objects, key)).toEqual(upload);
  const { origin, store: plain } = branch.history;
  if (origin === undefined) throw new Error("no branch");
  const named = (): Set<string> => new Set([key]);
  expect(
    await detachBranch({ tenant: branch, store: plain, origin, namedUploads: named, signal: signal() }),
  ).toEqual({
    uploads: 1,
  });
  expect(Buffer.from((await getBytes(world.store, key)) ?? []).includes("of the parent")).toBe(false);
  const known = world.known(id);
  delete known.origin;
  world.give(id, await host.release(id), host);
  const again = await world.at(host, id);
  expect(notes(again)).toEqual(["one", "two"]);
  expect(await getBytes(again.objects, key)).toEqual(upload);
  keyProvider.close();
  rmSync(keyring, { recursive: true, force: true });
});

describe("uploads of a branch", () => {
  const put = (id: TenantId, name: string, text: string): Promise<void> =>
    world.store.put(storageKey(id, "c", "r", name), new TextEncoder().encode(text));
  const read = async (from: ObjectStore, key: string): Promise<string | undefined> => {
    const bytes = await getBytes(from, key);
    return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
  };

  test("are its own, else its parent's; what it deletes stays its parent's", async () => {
    const { id: parentId, tenant: parent } = await parentWith("one");
    for (const name of ["a", "a2", "b"]) await put(parentId, name, "theirs");
    const { id } = await branchOf(parent);
    const { objects } = await world.at(host, id);
    const key = (name: string): string => storageKey(id, "c", "r", name);
    await objects.put(key("b"), new TextEncoder().encode("mine"));
    await objects.put(key("z"), new TextEncoder().encode("mine"));
    expect([await read(objects, key("a")), await read(objects, key("b"))]).toEqual(["theirs", "mine"]);
    expect((await objects.head(key("a")))?.key).toBe(key("a"));
    expect(new TextDecoder().decode((await objects.range(key("a"), { offset: 0, length: 2 }))?.bytes)).toBe(
      "th",
    );
    for (const limit of [1, 2, 100]) {
      const found: string[] = [];
      for (let startAfter: string | undefined, more = true; more;) {
        const page = await objects.list({
          prefix: storagePrefix(id),
          limit,
          ...(startAfter === undefined ? {} : { startAfter }),
        });
        found.push(...page.objects.map((one) => one.key));
        startAfter = page.next;
        more = startAfter !== undefined;
      }
      expect(found).toEqual(["a", "a2", "b", "z"].map(key));
    }
    await objects.delete([key("a"), key("b")]);
    expect(await read(world.store, storageKey(parentId, "c", "r", "b"))).toBe("theirs");
    expect(await read(objects, key("b"))).toBe("theirs");
    await objects.copy(key("a"), key("copy"));
    expect(await read(world.store, key("copy"))).toBe("theirs");
  });

  test("are copied by detaching: those of its beginning and those that it names", async () => {
    const { id: parentId, tenant: parent } = await parentWith("one");
    await put(parentId, "a", "A");
    await put(parentId, "b", "B");
    const { id } = await branchOf(parent);
    const branch = await world.at(host, id);
    const { origin, store: plain } = branch.history;
    if (origin === undefined) throw new Error("no branch");
    await world.store.put(storageKey(id, "c", "r", "b"), new TextEncoder().encode("mine"));
    const options = {
      tenant: branch,
      store: plain,
      origin,
      namedUploads: () => new Set<string>(),
      signal: signal(),
    };
    expect(await detachBranch(options)).toEqual({ uploads: 1 });
    expect(await keys(storagePrefix(id))).toEqual(["c/r/a", "c/r/b"]);
    expect(await read(world.store, storageKey(id, "c", "r", "b"))).toBe("mine");
    expect(await detachBranch(options)).toEqual({ uploads: 0 });
    // Stored in the parent after the branch began: only what is named.
    clock.jump(HOUR);
    await store.put(storageKey(parentId, "c", "r", "later"), new Uint8Array(1));
    await store.put(storageKey(parentId, "c", "r", "named"), new Uint8Array(1));
    const named = new Set([storageKey(id, "c", "r", "named")]);
    expect(await detachBranch({ ...options, namedUploads: () => named })).toEqual({ uploads: 1 });
    expect(await keys(storagePrefix(id))).toEqual(["c/r/a", "c/r/b", "c/r/named"]);
    // Removed by the parent's maintenance after it was listed: no point names it.
    await store.put(storageKey(parentId, "c", "r", "gone"), new Uint8Array(1));
    const vanishing: ObjectStore = {
      ...faultyStore(plain, () => undefined),
      async copy(from, to, request) {
        await plain.delete([from]);
        return plain.copy(from, to, request);
      },
    };
    const gone = new Set([storageKey(id, "c", "r", "gone")]);
    await detachBranch({ ...options, store: vanishing, namedUploads: () => gone });
    expect(await keys(storagePrefix(id))).toEqual(["c/r/a", "c/r/b", "c/r/named"]);
  });
});
