import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ListPage, ObjectStore } from "../../shared/objects/contract.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import { caught, pattern, streamed } from "../objects/contract.fixture.ts";
import { objectStoreContract } from "../objects/contract.suite.ts";
import { countedStore } from "../objects/counted.ts";
import { encryptedStore } from "./encrypted-store.ts";
import { type EncryptedWorld, encryptedWorld, openNew, tenantId } from "./encryption-fixture.ts";

const MEBIBYTE = 1024 * 1024;
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const A = tenantId("a");
const B = tenantId("b");
const PLAIN = tenantId("p");
const upload = (tenant: string, name = "secret.txt"): string => `tenants/${tenant}/storage/c/r/${name}`;
const corrupt = expect.objectContaining({ code: "object_corrupt" });

/** The store below a prefix. */
function below(store: ObjectStore, prefix: string, close: () => Promise<void>): ObjectStore {
  const cut = (key: string): string => key.slice(prefix.length);
  return {
    kind: store.kind,
    description: store.description,
    putIfAbsent: (key, body, options) => store.putIfAbsent(prefix + key, body, options),
    put: (key, body, options) => store.put(prefix + key, body, options),
    get: (key, options) => store.get(prefix + key, options),
    range: (key, range, options) => store.range(prefix + key, range, options),
    async head(key, options) {
      const found = await store.head(prefix + key, options);
      return found && { ...found, key: cut(found.key) };
    },
    async list(options): Promise<ListPage> {
      const { startAfter } = options;
      const page = await store.list({
        ...options,
        prefix: prefix + options.prefix,
        ...(startAfter === undefined ? {} : { startAfter: prefix + startAfter }),
      });
      return {
        objects: page.objects.map((one) => ({ ...one, key: cut(one.key) })),
        prefixes: page.prefixes.map(cut),
        ...(page.next === undefined ? {} : { next: cut(page.next) }),
      };
    },
    delete: (keys, options) =>
      store.delete(
        keys.map((key) => prefix + key),
        options,
      ),
    copy: (from, to, options) => store.copy(prefix + from, prefix + to, options),
    thaw: (key, days, options) => store.thaw(prefix + key, days, options),
    close,
  };
}

objectStoreContract("encrypted", async () => {
  const own = await encryptedWorld();
  await openNew(own, A);
  return below(own.store, `tenants/${A}/storage/`, () => own.close());
});

let world: EncryptedWorld;
beforeAll(async () => {
  world = await encryptedWorld();
  await openNew(world, A);
  await openNew(world, B);
  await openNew(world, PLAIN, false);
});
afterAll(() => world.close());

describe("encryptedStore", () => {
  test("what stands there is not what was written; sizes are", async () => {
    const { raw, store } = world;
    await store.put(upload(A), text("a very secret text"));
    expect(Buffer.from((await getBytes(raw, upload(A))) ?? []).includes("secret")).toBe(false);
    expect(await getBytes(store, upload(A))).toEqual(text("a very secret text"));
    expect(await store.head(upload(A))).toMatchObject({ key: upload(A), size: 18 });
    const listed = await store.list({ prefix: `tenants/${A}/storage/` });
    expect(listed.objects).toMatchObject([{ key: upload(A), size: 18 }]);
    expect((await raw.head(upload(A)))?.size).toBe(18 + 72);
  });

  test("a plain tenant's objects pass as they are", async () => {
    const { raw, store } = world;
    await store.put(upload(PLAIN), text("plain"));
    expect(await getBytes(raw, upload(PLAIN))).toEqual(text("plain"));
    expect(await getBytes(store, upload(PLAIN))).toEqual(text("plain"));
  });

  test("keys, pins, condemned and metadata of an encrypted tenant pass as they are, and so does what is nobody's", async () => {
    const { raw, store } = world;
    for (const key of [
      `tenants/${A}/pins/x.json`,
      `tenants/${A}/metadata/1`,
      `tenants/${A}/condemned/1`,
      "workers/1/log/1",
    ]) {
      await store.put(key, text("{}"));
      expect(await getBytes(raw, key)).toEqual(text("{}"));
    }
  });

  test("backups, bundles and large objects are sealed", async () => {
    const { raw, store } = world;
    for (const key of [
      `backups/${A}/b.zip`,
      `tenants/${A}/flushes/data.db/1-2.bundle`,
      `tenants/${A}/large/1-x`,
      `tenants/${A}/dropped/1`,
    ]) {
      await store.put(key, text("content"));
      expect(
        Buffer.from((await getBytes(raw, key)) ?? [])
          .subarray(0, 4)
          .toString(),
      ).toBe("MBOE");
      expect(await getBytes(store, key)).toEqual(text("content"));
    }
  });

  test("LTX files have a name of their own in the store, and pages of every size list each once", async () => {
    const { raw, store } = world;
    const prefix = `tenants/${A}/litestream/data.db/0001/`;
    const names = [1, 2, 3, 4, 5].map(
      (n) => `${prefix}${String(n).padStart(16, "0")}-${String(n).padStart(16, "0")}.ltx`,
    );
    for (const name of names) expect(await store.putIfAbsent(name, text(name))).toBe("created");
    expect(await store.putIfAbsent(names[0] as string, text("other"))).toBe("exists");
    const stored: string[] = [];
    for await (const { key } of listAll(raw, { prefix })) stored.push(key);
    expect(stored).toEqual(names.map((name) => `${name}e`));
    for (const limit of [1, 2, 5, 6]) {
      const seen: string[] = [];
      for (let next: string | undefined = ""; next !== undefined;) {
        const after: { startAfter?: string } = next === "" ? {} : { startAfter: next };
        const page: ListPage = await store.list({ prefix, limit, ...after });
        seen.push(...page.objects.map(({ key }) => key));
        next = page.next;
      }
      expect(seen).toEqual(names);
    }
    // A caller goes on from a name that it knows.
    const after = await store.list({ prefix, startAfter: names[2] as string });
    expect(after.objects.map(({ key }) => key)).toEqual(names.slice(3));
    await store.delete(names);
    expect((await raw.list({ prefix })).objects).toEqual([]);
  });

  test("a plain LTX file in an encrypted tenant is an error, not a file", async () => {
    const { raw, store } = world;
    const key = `tenants/${B}/litestream/data.db/0001/${"0".repeat(16)}-${"0".repeat(16)}.ltx`;
    await raw.put(key, text("LTX1"));
    expect(await caught(store.list({ prefix: `tenants/${B}/litestream/` }))).toEqual(corrupt);
    expect(await store.get(key)).toBeUndefined();
    await raw.delete([key]);
  });

  test("a plain object in the place of a sealed one is refused", async () => {
    const { raw, store } = world;
    for (const body of [text("short"), pattern(5_000), pattern(2 * MEBIBYTE)]) {
      await raw.put(upload(A, "plain"), body);
      expect(await caught(getBytes(store, upload(A, "plain")))).toEqual(corrupt);
      expect(await caught(store.range(upload(A, "plain"), { offset: 0, length: 4 }))).toEqual(corrupt);
      expect(await caught(store.range(upload(A, "plain"), { suffix: 4 }))).toEqual(corrupt);
    }
  });

  test("an object of another tenant, or of the same one's other file, does not open", async () => {
    const { raw, store } = world;
    await store.put(upload(A, "one"), text("one"));
    const sealed = (await getBytes(raw, upload(A, "one"))) as Uint8Array;
    for (const key of [upload(A, "two"), upload(B, "one")]) {
      await raw.put(key, sealed);
      expect(await caught(getBytes(store, key))).toEqual(corrupt);
    }
  });

  test("an object that lost its last segment, or a bit, is refused by who reads it whole", async () => {
    const { raw, store } = world;
    await store.put(upload(A, "large"), streamed(pattern(3 * MEBIBYTE)));
    const sealed = (await getBytes(raw, upload(A, "large"))) as Uint8Array;
    await raw.put(upload(A, "large"), sealed.subarray(0, 16 + 2 * MEBIBYTE));
    expect(await caught(getBytes(store, upload(A, "large")))).toEqual(corrupt);
    const changed = sealed.slice();
    changed[2 * MEBIBYTE] = (changed[2 * MEBIBYTE] as number) ^ 1;
    await raw.put(upload(A, "large"), changed);
    expect(await caught(getBytes(store, upload(A, "large")))).toEqual(corrupt);
    expect((await store.range(upload(A, "large"), { offset: 5, length: 3 }))?.bytes.length).toBe(3);
  });

  test("ranges read only the segments that they need, in at most two requests", async () => {
    const counted = countedStore(world.raw);
    const store = encryptedStore(counted, world.keys);
    const body = pattern(5 * MEBIBYTE + 77);
    const key = upload(A, "ranged");
    await store.put(key, streamed(body));
    const edges = [
      0,
      1,
      MEBIBYTE - 57,
      MEBIBYTE - 56,
      MEBIBYTE - 55,
      2 * MEBIBYTE,
      5 * MEBIBYTE,
      body.length - 1,
      body.length,
      body.length + 9,
    ];
    for (const offset of edges) {
      for (const length of [1, 100, MEBIBYTE, 2 * MEBIBYTE + 3, 9 * MEBIBYTE]) {
        counted.reset();
        const found = await store.range(key, { offset, length });
        expect(found?.size).toBe(body.length);
        expect(Buffer.compare(found?.bytes ?? new Uint8Array(), body.subarray(offset, offset + length))).toBe(
          0,
        );
        expect(counted.requests({ kind: "get" })).toBeLessThanOrEqual(2);
        const [line] = counted.counts();
        expect(line?.bytesReceived).toBeLessThanOrEqual(length + 3 * MEBIBYTE);
      }
    }
    for (const suffix of [1, 100, MEBIBYTE, body.length, body.length + 1]) {
      const found = await store.range(key, { suffix });
      expect(
        Buffer.compare(found?.bytes ?? new Uint8Array(), body.subarray(Math.max(0, body.length - suffix))),
      ).toBe(0);
    }
  });

  test("a stream is sealed and opened without being held", async () => {
    const { store } = world;
    let given = 0;
    const stream = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          if (given === 64) return controller.close();
          given++;
          controller.enqueue(new Uint8Array(MEBIBYTE).fill(given));
        },
      },
      { highWaterMark: 0 },
    );
    await store.put(upload(A, "stream"), { stream, length: 64 * MEBIBYTE });
    const reader = (await store.get(upload(A, "stream")))?.stream.getReader();
    let bytes = 0;
    for (;;) {
      const next = await reader?.read();
      if (next === undefined || next.done) break;
      expect(next.value.length).toBeLessThanOrEqual(MEBIBYTE);
      bytes += next.value.length;
    }
    expect(bytes).toBe(64 * MEBIBYTE);
  });

  test("a stream that nobody reads, or not to its end, gives back what is below it", async () => {
    const cancelled: string[] = [];
    const source = (name: string): ReadableStream<Uint8Array> =>
      new ReadableStream<Uint8Array>(
        {
          pull: (controller) => controller.enqueue(new Uint8Array(MEBIBYTE)),
          cancel: () => void cancelled.push(name),
        },
        { highWaterMark: 0 },
      );
    const taken: ReadableStream<Uint8Array>[] = [];
    const below: ObjectStore = {
      ...world.raw,
      kind: "file",
      get: (key) => Promise.resolve({ size: 5 * MEBIBYTE, stream: source(key) }),
      putIfAbsent: (_key, body) => {
        if (!(body instanceof Uint8Array)) taken.push(body.stream);
        return Promise.resolve("exists");
      },
    };
    const store = encryptedStore(below, world.keys);
    await (await store.get(upload(A, "unread")))?.stream.cancel();
    await store.putIfAbsent(upload(A, "unsent"), { stream: source("unsent"), length: 9 * MEBIBYTE });
    await taken[0]?.cancel();
    await store.putIfAbsent(upload(A, "begun"), { stream: source("begun"), length: 9 * MEBIBYTE });
    const reader = taken[1]?.getReader();
    for (let i = 0; i < 2; i++) await reader?.read();
    await reader?.cancel();
    await Bun.sleep(0);
    expect(cancelled).toEqual([upload(A, "unread"), "unsent", "begun"]);
  });

  test("copies are sealed for their new place, across tenants too", async () => {
    const { raw, store } = world;
    await store.put(upload(A, "from"), text("copied"));
    for (const to of [upload(A, "to"), upload(B, "to")]) {
      await store.copy(upload(A, "from"), to);
      expect(await getBytes(store, to)).toEqual(text("copied"));
      expect(await getBytes(raw, to)).not.toEqual(await getBytes(raw, upload(A, "from")));
    }
    expect(await caught(store.copy(upload(A, "absent"), upload(A, "to")))).toMatchObject({
      code: "not_found",
    });
  });

  test("content of a tenant that is not open is refused, and nothing is written", async () => {
    const { raw, store } = world;
    const other = tenantId("x");
    const refused = expect.objectContaining({ code: "tenant_stopped" });
    for (const call of [
      () => store.put(upload(other), text("late")),
      () => store.putIfAbsent(upload(other), text("late")),
      () => store.get(upload(other)),
      () => store.range(upload(other), { suffix: 1 }),
      () => store.head(upload(other)),
      () => store.copy(upload(A), upload(other)),
      () => store.list({ prefix: `tenants/${other}/storage/` }),
    ]) {
      expect(await caught(Promise.resolve().then<unknown>(call))).toEqual(refused);
    }
    expect((await raw.list({ prefix: `tenants/${other}/` })).objects).toEqual([]);
  });
});

test("the longest key of the contract can be sealed", async () => {
  const key = upload(A, "x".repeat(1_024 - upload(A, "").length));
  await world.store.put(key, text("long"));
  expect(await getBytes(world.store, key)).toEqual(text("long"));
});
