import { afterEach, beforeEach, expect, test } from "bun:test";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { metadataPrefix } from "../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import { type TestControl, startTestControl, startTestWorker } from "../control-fixture.ts";
import { metadataRowKey } from "../domain/keys.ts";
import { decodeMetadata, digestOf } from "./metadata.ts";

let running: TestControl;
let puts: string[] = [];
const wrapObjects = (objects: ObjectStore): ObjectStore => {
  const putIfAbsent = objects.putIfAbsent.bind(objects);
  objects.putIfAbsent = (key, ...rest) => {
    if (key.includes("/metadata/")) puts.push(key);
    return putIfAbsent(key, ...rest);
  };
  return objects;
};
beforeEach(async () => {
  puts = [];
  running = await startTestControl(undefined, {}, { wrapObjects });
});
afterEach(() => running.remove());

async function create(slug: string): Promise<TenantId> {
  return (await running.cp("POST", "/tenants", { slug })).body["id"] as TenantId;
}

async function records(id: TenantId): Promise<string[]> {
  const found = await Array.fromAsync(listAll(running.objects, { prefix: metadataPrefix(id) }));
  return found.map(({ key }) => key);
}

/** Until nothing more is written. */
async function quiet(): Promise<void> {
  let before = -1;
  while (before !== puts.length) {
    before = puts.length;
    await Bun.sleep(limits.metadataPauseMs * 3);
  }
}

test("one record per change that must survive, none for moves, few are kept, and a new leader writes nothing", async () => {
  const id = await create("acme");
  await quiet();
  expect(puts).toHaveLength(1);
  const worker = await startTestWorker(running);
  await running.control.resolver.resolve({ slug: "acme" as never });
  await quiet();
  expect(puts).toHaveLength(1);
  for (let i = 0; i < 4; i++) {
    expect(
      (await running.cp("PATCH", i === 0 ? "/tenants/acme" : `/tenants/acme-${i - 1}`, { slug: `acme-${i}` }))
        .status,
    ).toBe(200);
    await quiet();
  }
  expect(puts).toHaveLength(5);
  expect(await records(id)).toEqual(puts.slice(-limits.metadataKept));
  const newest = puts.at(-1) ?? "";
  const bytes = await getBytes(running.objects, newest);
  expect(decodeMetadata(newest, id, bytes ?? new Uint8Array())).toMatchObject({
    tenant: id,
    kept: { slug: "acme-3", durability: "durable", suspended: false },
  });
  await worker.kill();
  await running.stop();
  running = await startTestControl(running.directory, {}, { wrapObjects });
  await quiet();
  expect(puts).toHaveLength(5);
}, 20_000);

test("what a dead leader did not write, the next one does", async () => {
  let broken = true;
  await running.remove();
  running = await startTestControl(
    undefined,
    {},
    {
      wrapObjects: (objects) => {
        const wrapped = wrapObjects(objects);
        const putIfAbsent = wrapped.putIfAbsent.bind(wrapped);
        objects.putIfAbsent = async (key, ...rest) =>
          broken && key.includes("/metadata/") ? "unknown" : await putIfAbsent(key, ...rest);
        return objects;
      },
    },
  );
  const id = await create("acme");
  await Bun.sleep(300);
  expect(await records(id)).toEqual([]);
  await running.stop();
  broken = false;
  running = await startTestControl(running.directory, {}, { wrapObjects });
  await quiet();
  expect(await records(id)).toHaveLength(1);
  expect(running.control.table.get(metadataRowKey(id))?.keys).toEqual(await records(id));
});

test("digestOf ignores the order of fields", () => {
  const kept = { id: "a".repeat(15), slug: "a", limits: { requestsPerSecond: 1, bodyBytes: 2 } };
  const turned = { slug: "a", limits: { bodyBytes: 2, requestsPerSecond: 1 }, id: "a".repeat(15) };
  expect(digestOf(kept as never)).toBe(digestOf(turned as never));
  expect(digestOf({ ...kept, slug: "b" } as never)).not.toBe(digestOf(kept as never));
});
