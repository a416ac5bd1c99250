import { describe, expect, test } from "bun:test";
import type { Incarnation, LogSeq } from "../ids.ts";
import { limits } from "../limits.ts";
import type { ObjectStore } from "../objects/contract.ts";
import { logKey, logPrefix } from "../objects/layout.ts";
import { encodeLogObject } from "./encode.ts";
import { sealLog } from "./seal.ts";
import { highestSlot } from "./slots.ts";
import { storeDouble } from "./store-double.ts";

const INCARNATION = 7 as Incarnation;
const WRITER = "a".repeat(32);

describe("sealLog", () => {
  /** A store that holds these slots, with the requests that it got. */
  function fixed(slots: Iterable<[number, "entries" | "seal"]>) {
    const objects = new Map<string, Uint8Array>();
    for (const [slot, kind] of slots) {
      const seq = slot as LogSeq;
      const header = { incarnation: INCARNATION, seq, nonce: WRITER, lowWatermark: 0 as LogSeq, kind };
      objects.set(logKey(INCARNATION, seq), encodeLogObject(header, []));
    }
    const requests = { put: 0, list: 0, range: 0 };
    const store = storeDouble({
      putIfAbsent: (key, body) => {
        requests.put++;
        if (objects.has(key)) return Promise.resolve("exists");
        objects.set(key, body as Uint8Array);
        return Promise.resolve("created");
      },
      list: ({ prefix, startAfter = "", limit = 1_000 }) => {
        requests.list++;
        const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > startAfter).sort();
        const listed = keys.slice(0, limit).map((key) => ({ key, size: 0, modifiedMs: 0 }));
        const next = keys.length > limit ? { next: keys[limit - 1] as string } : {};
        return Promise.resolve({ objects: listed, prefixes: [], ...next });
      },
      range: (key) => {
        requests.range++;
        const bytes = objects.get(key);
        return Promise.resolve(bytes && { bytes: bytes.slice(0, 64), size: bytes.length });
      },
    });
    return { store, objects, requests };
  }

  const run = (store: ObjectStore, from = 0, signal?: AbortSignal): Promise<number> =>
    sealLog({
      store,
      incarnation: INCARNATION,
      from: from as LogSeq,
      nonce: "e".repeat(32),
      sleep: () => Promise.resolve(),
      ...(signal === undefined ? {} : { signal }),
    });
  const writerSlots = (first: number, last: number): [number, "entries"][] =>
    Array.from({ length: last - first + 1 }, (_, i) => [first + i, "entries"]);

  const cases: [string, [number, "entries" | "seal"][], number, number][] = [
    ["a log that was never written", [], 0, 1],
    ["a log, by its last beat", writerSlots(1, 9), 8, 10],
    ["a log without a beat", writerSlots(1, 9), 0, 10],
    ["a truncated log without a beat", writerSlots(51, 90), 0, 91],
    ["a truncated log with an old beat", writerSlots(51, 90), 7, 91],
    [
      "a log with stray SEALs in its truncated part",
      [[11, "seal"], [12, "seal"], ...writerSlots(51, 90)],
      10,
      91,
    ],
    ["a sealed log", [...writerSlots(1, 4), [5, "seal"], [6, "seal"], [8, "seal"]], 0, 5],
    ["what another sealer left half done", [...writerSlots(1, 4), [7, "seal"]], 4, 5],
    [
      "a sealed log whose entries were deleted since",
      [
        [40, "seal"],
        [41, "seal"],
      ],
      0,
      40,
    ],
    [
      "a sealed log whose entries were deleted since, with strays",
      [
        [11, "seal"],
        [40, "seal"],
        [43, "seal"],
      ],
      0,
      40,
    ],
    [
      "a sealed log whose entries were deleted since, with a beat",
      [
        [40, "seal"],
        [41, "seal"],
      ],
      38,
      40,
    ],
  ];
  for (const [name, slots, from, end] of cases) {
    test(`ends ${name} at slot ${end}, once and for all`, async () => {
      const { store, objects } = fixed(slots);
      expect(await run(store, from)).toBe(end);
      const before = objects.size;
      expect(await run(store, from)).toBe(end);
      expect(objects.size).toBe(before);
    });
  }

  test("needs few requests", async () => {
    const { store, requests } = fixed(writerSlots(1, 30));
    await run(store, 25);
    expect(requests).toEqual({ put: 4, list: 2, range: 1 });
  });

  test("finds the tail of a long log by bisection", async () => {
    const { store, requests } = fixed(writerSlots(5_001, 25_000));
    expect(await highestSlot({ store, incarnation: INCARNATION }, 0 as LogSeq)).toBe(25_000 as LogSeq);
    expect(requests.list).toBeLessThan(25);
  });

  test("gives up on a writer that always wins, after bounded rounds", async () => {
    const { store, objects, requests } = fixed(writerSlots(1, 2));
    const losing: ObjectStore = {
      ...store,
      putIfAbsent: (key, body) => {
        const seq = Number.parseInt(key.slice(logPrefix(INCARNATION).length), 16) as LogSeq;
        const header = { incarnation: INCARNATION, seq, nonce: WRITER, lowWatermark: 0 as LogSeq } as const;
        objects.set(key, encodeLogObject({ ...header, kind: "entries" }, []));
        return store.putIfAbsent(key, body);
      },
    };
    await expect(run(losing)).rejects.toThrow("its writer took every slot first");
    await run(losing).catch(() => undefined);
    expect(requests.put).toBeLessThanOrEqual(2 * limits.sealRoundsMax * limits.sealSlots);
  });

  test("gives up when the store never tells, and when it is asked to", async () => {
    const { store } = fixed(writerSlots(1, 2));
    const mute: ObjectStore = { ...store, putIfAbsent: () => Promise.resolve("unknown") };
    await expect(run(mute)).rejects.toMatchObject({ code: "store_unavailable" });
    const silent: ObjectStore = { ...store, putIfAbsent: () => new Promise(() => undefined) };
    await expect(run(silent, 0, AbortSignal.timeout(20))).rejects.toMatchObject({ name: "TimeoutError" });
  });

  test("stops at what is no log object of this log", async () => {
    const damaged = fixed(writerSlots(1, 2));
    damaged.objects.set(logKey(INCARNATION, 3 as LogSeq), new Uint8Array(80));
    await expect(run(damaged.store)).rejects.toMatchObject({ code: "object_corrupt" });
    const foreign = fixed(writerSlots(1, 2));
    const other = {
      incarnation: 8 as Incarnation,
      seq: 3 as LogSeq,
      nonce: WRITER,
      lowWatermark: 0 as LogSeq,
    } as const;
    foreign.objects.set(logKey(INCARNATION, 3 as LogSeq), encodeLogObject({ ...other, kind: "entries" }, []));
    await expect(run(foreign.store)).rejects.toMatchObject({ code: "object_foreign" });
  });
});
