/** Points and branches of encrypted tenants. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DATA_DB, type TenantId, type Txid, newTenantId } from "../../shared/ids.ts";
import { dataKeyKey, storageKey, tenantPrefix } from "../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import { keyringFile } from "../encryption/encryption-fixture.ts";
import { type KeyProvider, openKeyProvider } from "../encryption/key-provider.ts";
import { systemClock } from "../replication/clock.ts";
import type { Tenant } from "../tenant/contract.ts";
import { type TestHost, TestWorld, notes, putNote } from "../tenant/test-world.ts";
import { detachBranch } from "./detach.ts";
import { pinBranch } from "./pin-branch.ts";
import { restorePoint } from "./restore-point.ts";

let directory: string;
let keyProvider: KeyProvider;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "encrypted-points-"));
  keyProvider = openKeyProvider(`local:${keyringFile(directory, ["one"])}`);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let world: TestWorld;
let host: TestHost;
beforeEach(async () => {
  world = await TestWorld.open();
  host = world.host({ keyProvider });
});
afterEach(() => world.close());

const signal = (): AbortSignal => AbortSignal.timeout(30_000);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

async function parentWith(...texts: string[]): Promise<Tenant> {
  const tenant = await world.at(host, world.create(host, "durable", { encrypted: true }));
  for (const one of texts) await putNote(tenant, one);
  return tenant;
}

async function branchOf(parent: Tenant): Promise<TenantId> {
  const id = newTenantId((n) => crypto.getRandomValues(new Uint8Array(n)));
  const point = await pinBranch(parent, { branch: id }, signal());
  world.branch(host, id, parent.id, point.databases);
  return id;
}

async function plainUnder(id: TenantId): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of listAll(world.store, { prefix: tenantPrefix(id) })) {
    const isSealed =
      Buffer.from((await getBytes(world.store, key)) ?? [])
        .subarray(0, 4)
        .toString() === "MBOE";
    if (!isSealed) found.push(key.slice(tenantPrefix(id).length).split("/")[0] ?? "");
  }
  return [...new Set(found)];
}

describe("an encrypted tenant", () => {
  test("goes back to a flush in the middle of a bundle", async () => {
    const tenant = await parentWith("one", "two", "three");
    await tenant.history.materialise();
    const { paths } = await restorePoint(
      {
        store: tenant.objects,
        tenant: tenant.id,
        clock: systemClock,
        nowMs: Date.now(),
        open: (entry) => tenant.history.open(entry),
        directory: mkdtempSync(join(directory, "point-")),
        signal: signal(),
      },
      2 as Txid,
    );
    await tenant.replaceDatabases(tenant.observe(), new Map([[DATA_DB, paths.get(DATA_DB) ?? ""]]));
    expect(notes(tenant)).toEqual(["one", "two"]);
    expect(await plainUnder(tenant.id)).toEqual(["keys"]);
  });

  test("has branches with keys of their own, which read its objects with its key", async () => {
    const parent = await parentWith("one", "two");
    await parent.objects.put(storageKey(parent.id, "c", "r", "f"), text("a file"));
    const id = await branchOf(parent);
    const branch = await world.at(host, id);
    expect(notes(branch)).toEqual(["one", "two"]);
    expect(await getBytes(world.store, dataKeyKey(id, 1))).not.toEqual(
      await getBytes(world.store, dataKeyKey(parent.id, 1)),
    );
    await putNote(branch, "mine");
    // The parent is not needed on this worker for it.
    world.give(parent.id, await host.release(parent.id), host);
    expect(await getBytes(branch.objects, storageKey(id, "c", "r", "f"))).toEqual(text("a file"));
    host.abandon();
    const next = world.host({ keyProvider });
    await world.takeOver(host, next);
    const again = await world.at(next, id);
    expect(notes(again)).toEqual(["one", "two", "mine"]);
    await again.history.materialise();
    expect(await plainUnder(id)).toEqual(["keys"]);
  });

  test("lets a branch stand alone, sealed with its own key, before it is shredded", async () => {
    const parent = await parentWith("one");
    await parent.objects.put(storageKey(parent.id, "c", "r", "f"), text("a file"));
    const id = await branchOf(parent);
    const branch = await world.at(host, id);
    const { origin } = world.known(id);
    if (origin === undefined) throw new Error("no branch");
    await detachBranch({
      tenant: branch,
      store: branch.history.store,
      origin,
      namedUploads: (keys) => new Set(keys),
      signal: signal(),
    });
    for await (const { key } of listAll(world.store, { prefix: tenantPrefix(parent.id) }))
      await world.store.delete([key]);
    world.give(id, await host.release(id), host);
    delete world.known(id).origin;
    const alone = await world.at(host, id);
    expect(notes(alone)).toEqual(["one"]);
    expect(await getBytes(alone.objects, storageKey(id, "c", "r", "f"))).toEqual(text("a file"));
  });
});
