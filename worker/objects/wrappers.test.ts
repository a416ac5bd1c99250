import { afterAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { getBytes } from "../../shared/objects/read.ts";
import { caught } from "./contract.fixture.ts";
import { objectStoreContract } from "./contract.suite.ts";
import { countedStore } from "./counted.ts";
import { type StoreFault, faultyStore, seededFaults } from "./faults.ts";
import { openFileStore } from "./file/file-store.ts";
import { probeStore } from "./probe.ts";

const home = await mkdtemp(join(tmpdir(), "manybase-wrappers-"));
let stores = 0;
const open = (): Promise<ObjectStore> => openFileStore(join(home, String(stores++)));
afterAll(() => rm(home, { recursive: true }));

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const always = (fault: StoreFault) => () => fault;

objectStoreContract("counted and faultless", async () =>
  countedStore(faultyStore(await open(), () => undefined)),
);

describe("countedStore", () => {
  test("counts requests and bytes by kind and purpose", async () => {
    const store = countedStore(await open());
    expect(store.requests()).toBe(0);
    await store.putIfAbsent("workers/1/log/1", bytes("four"));
    await store.putIfAbsent("workers/1/log/2", bytes("four"));
    await store.put("tenants/t/storage/c/r/f", bytes("upload"));
    await getBytes(store, "tenants/t/storage/c/r/f");
    await store.range("workers/1/log/1", { suffix: 2 });
    await store.list({ prefix: "tenants/t/litestream/" });
    await store.delete(Array.from({ length: 1_001 }, (_, n) => `tenants/t/large/${n}`));
    expect(store.counts()).toEqual([
      { kind: "put", purpose: "log", requests: 2, bytesSent: 8, bytesReceived: 0 },
      { kind: "put", purpose: "storage", requests: 1, bytesSent: 6, bytesReceived: 0 },
      { kind: "get", purpose: "storage", requests: 1, bytesSent: 0, bytesReceived: 6 },
      { kind: "get", purpose: "log", requests: 1, bytesSent: 0, bytesReceived: 2 },
      { kind: "list", purpose: "litestream", requests: 1, bytesSent: 0, bytesReceived: 0 },
      { kind: "delete", purpose: "large", requests: 2, bytesSent: 0, bytesReceived: 0 },
    ]);
    expect(store.requests({ kind: "put" })).toBe(3);
    expect(store.requests({ purpose: "log" })).toBe(3);
    store.reset();
    expect(store.requests()).toBe(0);
  });
});

describe("faultyStore", () => {
  test("failBefore has no effect, lostAnswer has it, both say unknown", async () => {
    const store = await open();
    const before = faultyStore(store, always({ kind: "failBefore" }));
    expect(await before.putIfAbsent("a", bytes("x"))).toBe("unknown");
    expect(await caught(before.put("b", bytes("x")))).toMatchObject({ code: "store_unavailable" });
    expect((await store.list({ prefix: "" })).objects).toEqual([]);
    const lost = faultyStore(store, always({ kind: "lostAnswer" }));
    expect(await lost.putIfAbsent("a", bytes("x"))).toBe("unknown");
    expect(await caught(lost.put("b", bytes("x")))).toMatchObject({ code: "store_unavailable" });
    expect((await store.list({ prefix: "" })).objects.map(({ key }) => key)).toEqual(["a", "b"]);
    expect(lost.injected).toMatchObject({ lostAnswer: 2, failBefore: 0 });
  });

  test("lateEffect comes after its answer, also when the caller gave up", async () => {
    const store = await open();
    const { promise: due, resolve: fire } = Promise.withResolvers<void>();
    const late = faultyStore(store, always({ kind: "lateEffect", ms: 5 }), () => due);
    const controller = new AbortController();
    expect(await late.putIfAbsent("a", bytes("x"), { signal: controller.signal })).toBe("unknown");
    controller.abort();
    expect(await store.head("a")).toBeUndefined();
    fire();
    await late.settled();
    expect(await store.head("a")).toBeDefined();
  });

  test("duplicate meets its own success", async () => {
    const store = await open();
    const twice = faultyStore(store, always({ kind: "duplicate" }));
    expect(await twice.putIfAbsent("a", bytes("mine"))).toBe("exists");
    expect(await getBytes(store, "a")).toEqual(bytes("mine"));
  });

  test("a seed gives the same faults again, another seed others, at the asked rates", () => {
    const rates = { delay: 0.1, failBefore: 0.1, lostAnswer: 0.1, lateEffect: 0.1, duplicate: 0.1 };
    const run = (seed: number): (StoreFault | undefined)[] => {
      const plan = seededFaults(seed, rates);
      return Array.from({ length: 2_000 }, () => plan("put", "key"));
    };
    expect(run(7)).toEqual(run(7));
    expect(run(7)).not.toEqual(run(8));
    for (const kind of Object.keys(rates)) {
      const share = run(7).filter((fault) => fault?.kind === kind).length / 2_000;
      expect(Math.abs(share - 0.1)).toBeLessThan(0.03);
    }
  });
});

describe("probeStore", () => {
  const misbehaving = (store: ObjectStore, changes: Partial<ObjectStore>): ObjectStore =>
    new Proxy(store, {
      get: (target, name: keyof ObjectStore) => {
        const value = changes[name] ?? target[name];
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  const refused = expect.objectContaining({
    code: "store_misbehaves",
    hint: expect.stringContaining("--unsafe-no-fencing"),
  });

  test("refuses a store that overwrites", async () => {
    const store = await open();
    const overwrites = misbehaving(store, {
      async putIfAbsent(key, body) {
        await store.put(key, body);
        return "created";
      },
    });
    expect(await caught(probeStore(overwrites))).toEqual(refused);
    expect((await store.list({ prefix: "" })).objects).toEqual([]);
  });

  test("refuses a store that says exists and overwrites all the same", async () => {
    const store = await open();
    const lies = misbehaving(store, {
      async putIfAbsent(key, body) {
        const outcome = await store.putIfAbsent(key, body);
        await store.put(key, body);
        return outcome;
      },
    });
    expect(await caught(probeStore(lies))).toEqual(refused);
  });

  test("refuses a store that checks and then writes: honest in sequence, not when raced", async () => {
    const store = await open();
    const races = misbehaving(store, {
      async putIfAbsent(key, body) {
        if ((await store.head(key)) !== undefined) return "exists";
        await Bun.sleep(5);
        await store.put(key, body);
        return "created";
      },
    });
    expect(await caught(probeStore(races))).toEqual(refused);
  });

  test("takes lost answers for what they are, and silence for unavailable", async () => {
    const lost = faultyStore(await open(), (operation) =>
      operation === "putIfAbsent" ? { kind: "lostAnswer" } : undefined,
    );
    await probeStore(lost);
    const silent = faultyStore(await open(), (operation) =>
      operation === "putIfAbsent" ? { kind: "failBefore" } : undefined,
    );
    expect(await caught(probeStore(silent))).toMatchObject({ code: "store_unavailable" });
  });
});
