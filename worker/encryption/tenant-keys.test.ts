import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseName, Epoch, Txid } from "../../shared/ids.ts";
import type { DataEntry, RefEntry } from "../../shared/log/log.ts";
import { limits } from "../../shared/limits.ts";
import { dataKeyKey } from "../../shared/objects/layout.ts";
import { getBytes } from "../../shared/objects/read.ts";
import { caught } from "../objects/contract.fixture.ts";
import { faultyStore } from "../objects/faults.ts";
import { systemClock } from "../replication/clock.ts";
import { sha256Text } from "../replication/hash.ts";
import { decodeKeyObject } from "./data-key.ts";
import { encryptedStore } from "./encrypted-store.ts";
import { type EncryptedWorld, encryptedWorld, keyringFile, openNew, tenantId } from "./encryption-fixture.ts";
import { entryCiphers } from "./entry-ciphers.ts";
import { type KeyProvider, openKeyProvider } from "./key-provider.ts";
import { addLocalKey } from "./local-keyring.ts";
import { rotateKeys } from "./rotate.ts";
import { TenantKeys } from "./tenant-keys.ts";

const A = tenantId("a");
const B = tenantId("b");
const { signal } = new AbortController();
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const has = (code: string): unknown => expect.objectContaining({ code });

let world: EncryptedWorld;
beforeEach(async () => {
  world = await encryptedWorld();
});
afterEach(() => world.close());

const again = (store = world.raw, provider = world.provider): TenantKeys =>
  new TenantKeys({ store, clock: systemClock, provider });

describe("TenantKeys", () => {
  test("a virgin tenant gets its key when it is created, not before, and the same one is found later", async () => {
    const lease = await world.keys.open({ tenant: A, encrypted: true, virgin: true }, signal);
    expect(await world.raw.head(dataKeyKey(A, 1))).toBeUndefined();
    expect(await caught(world.store.put(`tenants/${A}/storage/x`, text("x")))).toEqual(
      has("data_key_missing"),
    );
    await lease.create(signal);
    await lease.create(signal);
    await world.store.put(`tenants/${A}/storage/x`, text("x"));
    const keys = again();
    await keys.open({ tenant: A, encrypted: true, virgin: false }, signal);
    expect(await getBytes(encryptedStore(world.raw, keys), `tenants/${A}/storage/x`)).toEqual(text("x"));
  });

  test("without its key object a tenant that is not virgin is refused, and nothing is made", async () => {
    const error = await caught(world.keys.open({ tenant: A, encrypted: true, virgin: false }, signal));
    expect(error).toMatchObject({
      code: "data_key_missing",
      hint: expect.stringContaining(`tenants/${A}/keys/`),
    });
    expect((await world.raw.list({ prefix: "tenants/" })).objects).toEqual([]);
    expect(world.keys.isOpen(A)).toBe(false);
  });

  test("two workers that create at once agree on one key", async () => {
    const other = again();
    const leases = await Promise.all(
      [world.keys, other].map((keys) => keys.open({ tenant: A, encrypted: true, virgin: true }, signal)),
    );
    await Promise.all(leases.map((lease) => lease.create(signal)));
    await world.store.put(`tenants/${A}/storage/x`, text("one key"));
    expect(await getBytes(encryptedStore(world.raw, other), `tenants/${A}/storage/x`)).toEqual(
      text("one key"),
    );
  });

  test("an answer that is lost makes no second key", async () => {
    let calls = 0;
    const store = faultyStore(world.raw, (operation) =>
      operation === "putIfAbsent" && ++calls === 1 ? { kind: "lostAnswer" } : undefined,
    );
    const keys = again(store);
    const lease = await keys.open({ tenant: A, encrypted: true, virgin: true }, signal);
    await lease.create(signal);
    expect(calls).toBe(2);
    await encryptedStore(world.raw, keys).put(`tenants/${A}/storage/x`, text("x"));
    const later = again();
    await later.open({ tenant: A, encrypted: true, virgin: false }, signal);
    expect(await getBytes(encryptedStore(world.raw, later), `tenants/${A}/storage/x`)).toEqual(text("x"));
  });

  test("a key stays open as long as one lease does, then nothing passes", async () => {
    const one = await openNew(world, A);
    const two = await world.keys.open({ tenant: A, encrypted: true, virgin: false }, signal);
    one.close();
    one.close();
    await world.store.put(`tenants/${A}/storage/x`, text("x"));
    two.close();
    expect(await caught(world.store.put(`tenants/${A}/storage/x`, text("x")))).toEqual(has("tenant_stopped"));
  });

  test("a branch opens its origin too, whether that one is encrypted or not", async () => {
    (await openNew(world, A)).close();
    for (const encrypted of [true, false]) {
      const origin = { tenant: encrypted ? A : tenantId("p"), encrypted, databases: {} };
      const lease = await world.keys.open({ tenant: B, encrypted: true, virgin: true, origin }, signal);
      expect(world.keys.of(origin.tenant) !== undefined).toBe(encrypted);
      lease.close();
      expect(world.keys.isOpen(origin.tenant)).toBe(false);
      expect(world.keys.isOpen(B)).toBe(false);
    }
    const origin = { tenant: tenantId("m"), encrypted: true, databases: {} };
    expect(
      await caught(world.keys.open({ tenant: B, encrypted: false, virgin: true, origin }, signal)),
    ).toEqual(has("data_key_missing"));
    expect(world.keys.isOpen(B)).toBe(false);
  });

  test("no keys, other keys, and what is no key object have each their own error", async () => {
    (await openNew(world, A)).close();
    const assignment = { tenant: A, encrypted: true, virgin: false };
    const without = new TenantKeys({ store: world.raw, clock: systemClock });
    expect(await caught(without.open(assignment, signal))).toEqual(has("keys_not_configured"));
    const other = openKeyProvider(`local:${keyringFile(world.directory, ["two"], "other")}`);
    expect(await caught(again(world.raw, other).open(assignment, signal))).toEqual(has("key_refused"));
    writeFileSync(join(world.directory, "same-name"), `one:${"B".repeat(43)}\n`, { mode: 0o600 });
    const sameName = openKeyProvider(`local:${join(world.directory, "same-name")}`);
    expect(await caught(again(world.raw, sameName).open(assignment, signal))).toEqual(has("key_refused"));
    // Another tenant's key in the place of one's own.
    (await openNew(world, B)).close();
    await world.raw.put(dataKeyKey(A, 1), (await getBytes(world.raw, dataKeyKey(B, 1))) ?? new Uint8Array());
    expect(await caught(again().open(assignment, signal))).toEqual(has("key_refused"));
    for (const bytes of [
      text(""),
      text("{}"),
      text('{"format":1,"kek":"x","wrapped":"*"}'),
      new Uint8Array(300).fill(255),
      new Uint8Array(limits.keyObjectBytesMax + 1).fill(32),
    ]) {
      await world.raw.put(dataKeyKey(A, 1), bytes);
      expect(await caught(again().open(assignment, signal))).toEqual(has("object_corrupt"));
    }
  });
});

describe("entryCiphers", () => {
  const place = { tenant: A, database: "data.db" as DatabaseName, epoch: 1 as Epoch, txid: 5 as Txid };
  const ltx = text("LTX1 with a secret in it");

  test("seals and opens, bound to the place", async () => {
    await openNew(world, A);
    const ciphers = entryCiphers(world.keys);
    const stored = ciphers.seal(place, ltx) as Uint8Array;
    expect(stored.length).toBe(ciphers.storedBytes(A, ltx.length));
    expect(Buffer.from(stored).includes("secret")).toBe(false);
    const entry: DataEntry = { kind: "data", ...place, entryHash: "", ltx: stored, encrypted: true };
    expect(ciphers.open(entry)).toMatchObject({ ltx, stored });
    for (const change of [
      { txid: 6 as Txid },
      { epoch: 2 as Epoch },
      { database: "state.db" as DatabaseName },
    ]) {
      expect(() => ciphers.open({ ...entry, ...change })).toThrow(has("object_corrupt"));
    }
    const plain: DataEntry = { kind: "data", ...place, entryHash: "", ltx };
    expect(() => ciphers.open(plain)).toThrow(has("object_corrupt"));
  });

  test("a digest tells nothing to who guesses the content", async () => {
    await openNew(world, A);
    const ciphers = entryCiphers(world.keys);
    const sha256 = sha256Text(ltx);
    const storedDigest = ciphers.sealDigest(place, sha256) as string;
    expect(storedDigest).not.toBe(sha256);
    const facts = {
      kind: "ref" as const,
      ...place,
      entryHash: "",
      key: "k",
      length: 1,
      encrypted: true as const,
    };
    const entry: RefEntry = { ...facts, sha256: storedDigest };
    expect(ciphers.open(entry)).toMatchObject({ sha256, storedDigest });
  });

  test("leaves a plain tenant's entries alone, and refuses encrypted ones of it", async () => {
    await openNew(world, A, false);
    const ciphers = entryCiphers(world.keys);
    expect(ciphers.seal(place, ltx)).toBeUndefined();
    expect(ciphers.sealDigest(place, sha256Text(ltx))).toBeUndefined();
    const entry: DataEntry = { kind: "data", ...place, entryHash: "", ltx };
    expect(ciphers.open(entry)).toBe(entry);
    expect(() => ciphers.open({ ...entry, encrypted: true })).toThrow(has("object_corrupt"));
  });
});

describe("rotateKeys", () => {
  test("wraps all keys anew, after which the old key-encryption key can go", async () => {
    for (const tenant of [A, B]) {
      (await openNew(world, tenant)).close();
      await world.keys.open({ tenant, encrypted: true, virgin: false }, signal);
      await world.store.put(`tenants/${tenant}/storage/x`, text(`of ${tenant}`));
    }
    const file = join(world.directory, "keyring");
    const id = addLocalKey(file, Date.now());
    const report = await rotateKeys(world.raw, world.provider, signal);
    expect(report).toEqual({ tenants: 2, keys: 2, rewrapped: 2, already: 0, failed: [] });
    expect(await rotateKeys(world.raw, world.provider, signal)).toMatchObject({ rewrapped: 0, already: 2 });
    expect(decodeKeyObject("x", (await getBytes(world.raw, dataKeyKey(A, 1))) as Uint8Array).kek).toBe(
      `local:${id}`,
    );
    const [first = ""] = (await Bun.file(file).text()).split("\n");
    writeFileSync(join(world.directory, "new-only"), first, { mode: 0o600 });
    const keys = again(world.raw, openKeyProvider(`local:${join(world.directory, "new-only")}`));
    await keys.open({ tenant: B, encrypted: true, virgin: false }, signal);
    expect(await getBytes(encryptedStore(world.raw, keys), `tenants/${B}/storage/x`)).toEqual(
      text(`of ${B}`),
    );
  });

  test("overwrites nothing when a key service gives another key back", async () => {
    (await openNew(world, A)).close();
    const before = await getBytes(world.raw, dataKeyKey(A, 1));
    const wrong: KeyProvider = {
      current: () => Promise.resolve("kms:broken"),
      wrap: () => Promise.resolve({ kek: "kms:broken", wrapped: new Uint8Array(40) }),
      unwrap: (key, context) =>
        key.kek === "kms:broken" ? Promise.resolve(new Uint8Array(32)) : world.provider.unwrap(key, context),
      close: () => undefined,
    };
    expect(await rotateKeys(world.raw, wrong, signal)).toMatchObject({
      rewrapped: 0,
      failed: [{ key: dataKeyKey(A, 1) }],
    });
    expect(await getBytes(world.raw, dataKeyKey(A, 1))).toEqual(before as Uint8Array);
  });

  test("goes on after failures, overwrites nothing that it cannot read, and ends the work when run again", async () => {
    for (const tenant of [A, B]) (await openNew(world, tenant)).close();
    addLocalKey(join(world.directory, "keyring"), Date.now());
    const before = await getBytes(world.raw, dataKeyKey(A, 1));
    const store = faultyStore(world.raw, (operation, key) =>
      operation === "put" && key.includes(A) ? { kind: "failBefore" } : undefined,
    );
    const report = await rotateKeys(store, world.provider, signal);
    expect(report).toMatchObject({ rewrapped: 1, failed: [{ key: dataKeyKey(A, 1) }] });
    expect(await getBytes(world.raw, dataKeyKey(A, 1))).toEqual(before as Uint8Array);
    expect(await rotateKeys(world.raw, world.provider, signal)).toMatchObject({
      rewrapped: 1,
      already: 1,
      failed: [],
    });
    const other = openKeyProvider(`local:${keyringFile(world.directory, ["two"], "other")}`);
    const refused = await rotateKeys(world.raw, other, signal);
    expect([refused.rewrapped, refused.failed.length]).toEqual([0, 2]);
  });
});
