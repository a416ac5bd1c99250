/** For tests: a store with tenants' histories, copies of it with holes, and what such a copy really holds. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeMetadata, keptOf } from "../../../control/disaster/metadata.ts";
import type { TenantRecord } from "../../../control/domain/records.ts";
import { DATA_DB, type Epoch, type TenantId } from "../../../shared/ids.ts";
import { decodeBundle } from "../../../shared/log/bundle.ts";
import { decodeLogObject } from "../../../shared/log/decode.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { bundlePrefix, ltxPrefix, metadataKey, workersPrefix } from "../../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../../shared/objects/read.ts";
import { keyringFile } from "../../../worker/encryption/encryption-fixture.ts";
import { type KeyProvider, openKeyProvider } from "../../../worker/encryption/key-provider.ts";
import { type TestHost, TestWorld, putNote } from "../../../worker/tenant/test-world.ts";

export interface History {
  world: TestWorld;
  keyProvider: KeyProvider;
  /** All that was acknowledged of each tenant; one TXID each. */
  notes: Map<TenantId, string[]>;
  encrypted: TenantId;
  close(): void;
}

const LARGE_CHARACTERS = 6_000_000;

/** Three workers, of which two died; five tenants that were written on each, one of them encrypted, one with a large change. */
export async function writeHistory(): Promise<History> {
  const world = await TestWorld.open();
  const directory = mkdtempSync(join(tmpdir(), "loss-keys-"));
  const keyProvider = openKeyProvider(`local:${keyringFile(directory, ["one"])}`);
  const host = (): TestHost => world.host({ keyProvider });
  let here = host();
  const ids = Array.from({ length: 5 }, (_, i) =>
    world.create(here, "durable", i === 0 ? { encrypted: true } : {}),
  );
  const [encrypted = "" as TenantId] = ids;
  const notes = new Map<TenantId, string[]>(ids.map((id) => [id, []]));
  await keepRecords(world, 1);
  const write = async (id: TenantId, text: string): Promise<void> => {
    await putNote(await world.at(here, id), text);
    notes.get(id)?.push(text);
  };
  const flush = (id: TenantId) => here.flush(id, world.known(id).epoch as Epoch);
  for (let round = 0; round < 16; round++) {
    for (const id of ids) await write(id, `first ${round}`);
    const id = ids[round % ids.length] as TenantId;
    if (round % 3 === 0) await flush(id);
  }
  for (const rounds of [8, 6]) {
    here.abandon();
    const next = host();
    await world.takeOver(here, next);
    here = next;
    await keepRecords(world, rounds);
    for (let round = 0; round < rounds; round++) {
      for (const id of ids) await write(id, `then ${rounds} ${round}`);
      if (round % 2 === 0) await flush(ids[(round + rounds) % ids.length] as TenantId);
    }
    const bytes = crypto.getRandomValues(new Uint8Array(65_536));
    const block = Buffer.from(bytes).toString("latin1");
    if (rounds === 6) await write(ids[1] as TenantId, block.repeat(LARGE_CHARACTERS / block.length));
  }
  for (const id of ids) await write(id, "last");
  await flush(ids[2] as TenantId);
  await Bun.sleep(20);
  here.abandon();
  await keepRecords(world, 100);
  return {
    ...{ world, keyProvider, notes, encrypted },
    close() {
      world.close();
      keyProvider.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** What control keeps under the prefixes. */
async function keepRecords(world: TestWorld, revision: number): Promise<void> {
  for (const [id, known] of world.tenants) {
    const { epoch, base, tails, virgin, durability } = known;
    const record = {
      ...{ id, slug: `t-${id}`, state: "evicted", suspended: false, durability, epoch, base, tails, virgin },
      ...(known.encrypted === true ? { encrypted: true } : {}),
      ...{ created: "2026-01-01T00:00:00.000Z", updated: "2026-01-01T00:00:00.000Z" },
    } as unknown as TenantRecord;
    const body = encodeMetadata({ cluster: "c", tenant: id, kept: keptOf(record), epoch, base });
    await world.store.put(metadataKey(id, 1, revision), body);
  }
}

export const rootOf = (world: TestWorld): string => world.store.description.slice("file:".length);

/** A world whose store has the same objects, without copying bytes. */
export async function copyWorld(from: TestWorld): Promise<TestWorld> {
  const world = await TestWorld.open();
  rmSync(rootOf(world), { recursive: true, force: true });
  const { exitCode } = Bun.spawnSync(["cp", "-al", rootOf(from), rootOf(world)]);
  if (exitCode !== 0) throw new Error("cannot link the store");
  return world;
}

/** Keys, oldest first by when they were written. */
export async function keysByAge({ store }: TestWorld): Promise<string[]> {
  const all = await Array.fromAsync(listAll(store, { prefix: "" }));
  return all.toSorted((a, b) => a.modifiedMs - b.modifiedMs).map(({ key }) => key);
}

export interface Held {
  files: [number, number][];
  bundles: [number, number][];
  /** TXIDs that can be read one by one. */
  changes: Set<number>;
}

/** What a store really holds of tenants' data.db, found in the plainest way. */
export async function held(store: ObjectStore, ids: Iterable<TenantId>): Promise<Map<TenantId, Held>> {
  const found = new Map<TenantId, Held>();
  for (const id of ids) {
    const one: Held = { files: [], bundles: [], changes: new Set() };
    found.set(id, one);
    for await (const { key } of listAll(store, { prefix: ltxPrefix(id, DATA_DB) })) one.files.push(span(key));
    for await (const { key } of listAll(store, { prefix: bundlePrefix(id, DATA_DB) })) {
      one.bundles.push(span(key));
      const bytes = (await getBytes(store, key)) ?? new Uint8Array();
      if (!isSealed(bytes)) for (const { txid } of decodeBundle(bytes)) one.changes.add(txid);
    }
  }
  for await (const { key } of listAll(store, { prefix: workersPrefix })) {
    if (!key.endsWith(".wlog")) continue;
    for (const entry of decodeLogObject((await getBytes(store, key)) ?? new Uint8Array()).entries) {
      if (entry.kind !== "data" && entry.kind !== "ref") continue;
      const there = entry.kind === "data" || (await store.head(entry.key)) !== undefined;
      if (there) found.get(entry.tenant)?.changes.add(entry.txid);
    }
  }
  return found;
}

function span(key: string): [number, number] {
  const [, min = "", max = ""] = /([0-9a-f]{16})-([0-9a-f]{16})\./.exec(key) ?? [];
  return [Number.parseInt(min, 16), Number.parseInt(max, 16)];
}

const isSealed = (bytes: Uint8Array): boolean => new TextDecoder().decode(bytes.subarray(0, 4)) === "MBOE";
