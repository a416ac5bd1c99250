/** An encrypted tenant through its life, over the object store alone. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DATA_DB, type TenantId } from "../../shared/ids.ts";
import { decodeBundle } from "../../shared/log/bundle.ts";
import { decodeLogObject } from "../../shared/log/decode.ts";
import { encodeLogObject } from "../../shared/log/encode.ts";
import { hashedBody, nextEntryHash } from "../../shared/log/entry-hash.ts";
import type { DataEntry, LogEntry } from "../../shared/log/log.ts";
import {
  bundlePrefix,
  dataKeyKey,
  largeKey,
  logPrefix,
  storageKey,
  tenantPrefix,
} from "../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import { keyringFile } from "../encryption/encryption-fixture.ts";
import { type KeyProvider, openKeyProvider } from "../encryption/key-provider.ts";
import type { TenantHostOptions } from "./host.ts";
import { type TestHost, TestWorld, codeOf, notes, putNote } from "./test-world.ts";

const SECRET = "Rumpelstilzchen";

let directory: string;
let keyProvider: KeyProvider;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "encryption-tenant-"));
  keyProvider = openKeyProvider(`local:${keyringFile(directory, ["one"])}`);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let world: TestWorld;
beforeEach(async () => {
  world = await TestWorld.open();
});
afterEach(() => world.close());

const host = (options: Partial<TenantHostOptions> = {}): TestHost => world.host({ keyProvider, ...options });
const encrypted = (at: TestHost): TenantId => world.create(at, "durable", { encrypted: true });

async function stored(prefix: string): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  for await (const { key } of listAll(world.store, { prefix })) {
    found.set(key, (await getBytes(world.store, key)) as Uint8Array);
  }
  return found;
}

/** Keys of objects that hold the text. LZ4 leaves a text that stands alone as it is. */
async function telling(text: string, prefix = ""): Promise<string[]> {
  return [...(await stored(prefix))]
    .filter(([, bytes]) => Buffer.from(bytes).includes(text))
    .map(([key]) => key);
}

async function entriesOf(at: TestHost): Promise<DataEntry[]> {
  const logs = [...(await stored(logPrefix(at.incarnation))).values()];
  return logs.flatMap((bytes) => decodeLogObject(bytes).entries).filter((entry) => entry.kind === "data");
}

describe("an encrypted tenant", () => {
  test("writes nothing readable, where a plain one does", async () => {
    const at = host();
    for (const id of [encrypted(at), world.create(at)]) {
      const tenant = await world.at(at, id);
      await putNote(tenant, SECRET);
      await tenant.objects.put(storageKey(id, "c", "r", "file"), new TextEncoder().encode(SECRET));
      const isPlain = world.known(id).encrypted === undefined;
      expect((await telling(SECRET)).length).toBe(isPlain ? 2 : 0);
      await at.release(id);
      expect((await telling(SECRET, tenantPrefix(id))).length > 0).toBe(isPlain);
    }
  });

  test("its log verifies without keys: flags, positions, and hashes over what stands there", async () => {
    const at = host();
    const tenant = await world.at(at, encrypted(at));
    for (const text of ["one", "two", "three"]) await putNote(tenant, text);
    const entries = await entriesOf(at);
    expect(entries.map(({ txid }) => Number(txid))).toEqual([1, 2, 3]);
    expect(entries.every((entry) => entry.encrypted)).toBe(true);
    let hash = "";
    for (const entry of entries) {
      hash = nextEntryHash(hash, hashedBody(entry));
      expect(entry.entryHash).toBe(hash);
    }
  });

  test("is taken over from the tails of a dead worker, and then found under its prefix", async () => {
    const dead = host();
    const id = encrypted(dead);
    const tenant = await world.at(dead, id);
    for (const text of ["one", "two"]) await putNote(tenant, text);
    dead.abandon();
    const next = host();
    await world.takeOver(dead, next);
    expect(notes(await world.at(next, id))).toEqual(["one", "two"]);
    await putNote(await world.at(next, id), "three");
    const base = await next.release(id);
    const last = host();
    world.give(id, base, last);
    expect(notes(await world.at(last, id))).toEqual(["one", "two", "three"]);
  });

  test("its bundles hold the entries byte for byte, whoever made them", async () => {
    const dead = host();
    const id = encrypted(dead);
    const tenant = await world.at(dead, id);
    for (const text of ["one", "two", "three"]) await putNote(tenant, text);
    const inLog = await entriesOf(dead);
    dead.abandon();
    const next = host();
    await world.takeOver(dead, next);
    await world.at(next, id);
    const base = await next.release(id);
    const [key = ""] = [...(await stored(bundlePrefix(id, DATA_DB))).keys()];
    // Opened as an object, its entries are still those of the log.
    const again = host();
    world.give(id, base, again);
    const opened = (await getBytes((await world.at(again, id)).objects, key)) as Uint8Array;
    expect(decodeBundle(opened)).toEqual(inLog);
  });

  test("a large change goes by reference, and comes back", async () => {
    const dead = host();
    const id = encrypted(dead);
    const tenant = await world.at(dead, id);
    await putNote(tenant, "small");
    const large = Array.from(crypto.getRandomValues(new Uint8Array(5 * 1024 * 1024)), (b) =>
      (b % 36).toString(36),
    ).join("");
    await putNote(tenant, large);
    await putNote(tenant, "after");
    const refs = [...(await stored(logPrefix(dead.incarnation))).values()]
      .flatMap((bytes) => decodeLogObject(bytes).entries)
      .filter((entry: LogEntry) => entry.kind === "ref");
    expect(refs).toMatchObject([{ encrypted: true }]);
    const object = (await getBytes(world.store, refs[0]?.key ?? "")) as Uint8Array;
    expect(Buffer.from(object.subarray(0, 4)).toString()).toBe("MBOE");
    expect(refs[0]?.key).toStartWith(largeKey(id, dead.incarnation, ""));
    dead.abandon();
    const next = host();
    await world.takeOver(dead, next);
    expect(notes(await world.at(next, id))).toEqual(["small", large, "after"]);
    const base = await next.release(id);
    const last = host();
    world.give(id, base, last);
    expect(notes(await world.at(last, id))).toEqual(["small", large, "after"]);
  });

  test("goes on in the same epoch after it was stopped, with the same chain", async () => {
    const at = host();
    const id = encrypted(at);
    await putNote(await world.at(at, id), "one");
    const tenant = await world.at(at, id);
    (tenant as unknown as { broken(error: unknown): void }).broken(new Error("a defect"));
    expect(notes(await world.at(at, id))).toEqual(["one"]);
    await putNote(await world.at(at, id), "two");
    at.abandon();
    const next = host();
    await world.takeOver(at, next);
    expect(notes(await world.at(next, id))).toEqual(["one", "two"]);
  });

  test("leaves no readable copy on the worker's disk at a clean stop", async () => {
    const at = host();
    const ids = [encrypted(at), world.create(at)];
    for (const id of ids) await putNote(await world.at(at, id), SECRET);
    await at.stop();
    const files = (readdirSync(world.directory, { recursive: true }) as string[]).filter((name) =>
      name.endsWith(".db"),
    );
    expect(files.some((name) => name.includes(ids[1] ?? ""))).toBe(true);
    expect(files.filter((name) => name.includes(ids[0] ?? ""))).toEqual([]);
  });
});

describe("a load refuses", () => {
  async function killed(): Promise<{ id: TenantId; dead: TestHost }> {
    const dead = host();
    const id = encrypted(dead);
    for (const text of ["one", "two"]) await putNote(await world.at(dead, id), text);
    dead.abandon();
    return { id, dead };
  }

  test("a tenant whose data key is gone, also one that control calls virgin", async () => {
    const { id, dead } = await killed();
    await world.store.delete([dataKeyKey(id, 1)]);
    const next = host();
    await world.takeOver(dead, next);
    expect(world.known(id).virgin).toBe(true);
    expect(await codeOf(() => world.at(next, id))).toBe("data_key_missing");
    world.known(id).virgin = false;
    expect(await codeOf(() => world.at(next, id))).toBe("data_key_missing");
    expect(await world.store.head(dataKeyKey(id, 1))).toBeUndefined();
  });

  test("without keys, or with others", async () => {
    const { id, dead } = await killed();
    const without = world.host();
    await world.takeOver(dead, without);
    expect(await codeOf(() => world.at(without, id))).toBe("keys_not_configured");
    const others = openKeyProvider(`local:${keyringFile(directory, ["two"], "others")}`);
    const other = host({ keyProvider: others });
    world.known(id).incarnation = other.incarnation;
    expect(await codeOf(() => world.at(other, id))).toBe("key_refused");
  });

  test("entries that were exchanged or put in plain, although log and chain are in order", async () => {
    const dead = host();
    const [id, open] = [encrypted(dead), world.create(dead)];
    for (const one of [id, open]) {
      for (const text of ["one", "two"]) await putNote(await world.at(dead, one), text);
    }
    dead.abandon();
    const written = await entriesOf(dead);
    const first = written.find(({ tenant }) => tenant === id);
    // A file that would be right at that place, if it were sealed.
    const plain = written.find(({ tenant, txid }) => tenant === open && txid === 2) as DataEntry;
    const isSecond = (entry: LogEntry): entry is DataEntry =>
      entry.kind === "data" && entry.tenant === id && entry.txid === 2;
    const forgeries: ((entry: DataEntry) => DataEntry)[] = [
      (entry) => ({ ...entry, ltx: (first as DataEntry).ltx }),
      ({ kind, tenant, database, epoch, txid, entryHash }) => ({
        ...{ kind, tenant, database, epoch, txid, entryHash, ltx: plain.ltx },
      }),
    ];
    for (const forge of forgeries) {
      const before = await stored(logPrefix(dead.incarnation));
      for (const [key, bytes] of before) {
        const { header, entries } = decodeLogObject(bytes);
        const changed = entries.map((entry) => {
          if (!isSecond(entry)) return entry;
          const forged = forge(entry);
          forged.entryHash = nextEntryHash((first as DataEntry).entryHash, hashedBody(forged));
          return forged;
        });
        await world.store.put(key, encodeLogObject(header, changed));
      }
      const next = host();
      if (world.known(id).incarnation === dead.incarnation) await world.takeOver(dead, next);
      world.known(id).incarnation = next.incarnation;
      expect(await codeOf(() => world.at(next, id))).toBe("object_corrupt");
      for (const [key, bytes] of before) await world.store.put(key, bytes);
    }
    const good = host();
    world.known(id).incarnation = good.incarnation;
    expect(notes(await world.at(good, id))).toEqual(["one", "two"]);
  });
});
