import { describe, expect, test } from "bun:test";
import { SystemError, UserError } from "../../shared/errors.ts";
import type { ObjectStore, StorageClass } from "../../shared/objects/contract.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import { compareKeys } from "./key.ts";
import { ODD_KEYS, caught, digest, drain, pattern, streamed } from "./contract.fixture.ts";
import { probeStore } from "./probe.ts";

const MEBIBYTE = 1024 * 1024;
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** What every driver must do. `open` gives a store that nothing else uses; `close` is the suite's. */
export function objectStoreContract(name: string, open: () => Promise<ObjectStore>): void {
  const withStore =
    (body: (store: ObjectStore) => Promise<void>): (() => Promise<void>) =>
    async () => {
      const store = await open();
      try {
        await body(store);
      } finally {
        await store.close();
      }
    };
  const read = async (store: ObjectStore, key: string): Promise<string | undefined> => {
    const bytes = await getBytes(store, key);
    return bytes && new TextDecoder().decode(bytes);
  };
  const fill = (store: ObjectStore, keys: readonly string[]): Promise<unknown> =>
    Promise.all(keys.map((key) => store.put(key, text(key))));
  const listed = async (store: ObjectStore, prefix: string, startAfter?: string): Promise<string[]> => {
    const keys: string[] = [];
    const options = startAfter === undefined ? { prefix } : { prefix, startAfter };
    for await (const { key } of listAll(store, options)) keys.push(key);
    return keys;
  };

  describe(`${name}: putIfAbsent`, () => {
    test(
      "creates once and keeps the first body",
      withStore(async (store) => {
        expect(await store.putIfAbsent("a/b", text("first"))).toBe("created");
        expect(await store.putIfAbsent("a/b", text("second"))).toBe("exists");
        expect(await read(store, "a/b")).toBe("first");
      }),
    );
    test(
      "has one winner of 32 racers, whose body stays",
      withStore(async (store) => {
        for (let round = 0; round < 5; round++) {
          const key = `race/${round}`;
          const outcomes = await Promise.all(
            Array.from({ length: 32 }, (_, racer) => store.putIfAbsent(key, text(`racer ${racer}`))),
          );
          const winners = outcomes.flatMap((outcome, racer) => (outcome === "created" ? [racer] : []));
          expect(winners).toHaveLength(1);
          expect(await read(store, key)).toBe(`racer ${winners[0]}`);
        }
      }),
    );
    test(
      "creates again after a delete",
      withStore(async (store) => {
        await store.putIfAbsent("again", text("old"));
        await store.delete(["again"]);
        expect(await store.putIfAbsent("again", text("new"))).toBe("created");
        expect(await read(store, "again")).toBe("new");
      }),
    );
    test(
      "takes a stream",
      withStore(async (store) => {
        const body = pattern(3 * MEBIBYTE);
        expect(await store.putIfAbsent("stream", streamed(body))).toBe("created");
        expect(await store.putIfAbsent("stream", streamed(text("other")))).toBe("exists");
        expect(digest(await getBytes(store, "stream"))).toBe(digest(body));
      }),
    );
    test(
      "passes the start-up probe and leaves nothing behind",
      withStore(async (store) => {
        await probeStore(store);
        expect(await listed(store, "")).toEqual([]);
      }),
    );
  });

  describe(`${name}: put and get`, () => {
    test(
      "put replaces, get of nothing is undefined",
      withStore(async (store) => {
        expect(await store.get("absent")).toBeUndefined();
        expect(await store.head("absent")).toBeUndefined();
        expect(await store.range("absent", { suffix: 4 })).toBeUndefined();
        await store.put("key", text("long old body"));
        await store.put("key", text("new"));
        expect(await read(store, "key")).toBe("new");
      }),
    );
    test(
      "keeps an empty body",
      withStore(async (store) => {
        await store.put("empty", new Uint8Array());
        await store.put("empty-stream", streamed(new Uint8Array()));
        for (const key of ["empty", "empty-stream"]) {
          expect((await store.get(key))?.size).toBe(0);
          expect(await read(store, key)).toBe("");
          expect((await store.head(key))?.size).toBe(0);
          expect(await store.range(key, { suffix: 4 })).toEqual({ bytes: new Uint8Array(), size: 0 });
        }
      }),
    );
    test(
      "streams a large body in pieces and whole",
      withStore(async (store) => {
        const body = pattern(20 * MEBIBYTE + 17);
        await store.put("large", streamed(body));
        const found = await store.get("large");
        expect(found?.size).toBe(body.length);
        expect(digest(await getBytes(store, "large"))).toBe(digest(body));
        await found?.stream.cancel();
        const { bytes } = (await store.range("large", { offset: 16 * MEBIBYTE - 2, length: 4 })) ?? {};
        expect(bytes).toEqual(body.slice(16 * MEBIBYTE - 2, 16 * MEBIBYTE + 2));
      }),
    );
    for (const [state, announced] of [
      ["shorter", 12],
      ["longer", 8],
    ] as const) {
      test(
        `refuses a stream ${state} than announced and stores nothing`,
        withStore(async (store) => {
          const body = (): { stream: ReadableStream<Uint8Array>; length: number } => ({
            ...streamed(text("ten bytes.")),
            length: announced,
          });
          const refused = expect.objectContaining({ code: "invalid_body" });
          expect(await caught(store.put("cut", body()))).toEqual(refused);
          expect(await caught(store.putIfAbsent("cut", body()))).toEqual(refused);
          expect(await store.head("cut")).toBeUndefined();
        }),
      );
    }
    test(
      "ranges are cut at the object's end",
      withStore(async (store) => {
        await store.put("digits", text("0123456789"));
        const range = async (asked: Parameters<ObjectStore["range"]>[1]): Promise<string> => {
          const found = await store.range("digits", asked);
          expect(found?.size).toBe(10);
          return new TextDecoder().decode(found?.bytes);
        };
        expect(await range({ offset: 2, length: 3 })).toBe("234");
        expect(await range({ offset: 8, length: 100 })).toBe("89");
        expect(await range({ offset: 10, length: 1 })).toBe("");
        expect(await range({ offset: 99, length: 1 })).toBe("");
        expect(await range({ offset: 3, length: 0 })).toBe("");
        expect(await range({ suffix: 3 })).toBe("789");
        expect(await range({ suffix: 100 })).toBe("0123456789");
        expect(await range({ suffix: 0 })).toBe("");
      }),
    );
    test(
      "head tells size, time and class",
      withStore(async (store) => {
        const before = Date.now();
        await store.put("plain", text("12345"));
        const head = await store.head("plain");
        expect(head).toMatchObject({ key: "plain", size: 5, storageClass: "STANDARD", thaw: "none" });
        expect(Math.abs((head?.modifiedMs ?? 0) - before)).toBeLessThan(5_000);
        for (const storageClass of ["STANDARD_IA", "GLACIER_IR"] as StorageClass[]) {
          await store.put(`class/${storageClass}`, text("x"), { storageClass });
          expect(await store.head(`class/${storageClass}`)).toMatchObject({ storageClass, thaw: "none" });
          await store.putIfAbsent(`new/${storageClass}`, text("x"), { storageClass });
          expect((await store.head(`new/${storageClass}`))?.storageClass).toBe(storageClass);
          await store.put(`stream/${storageClass}`, streamed(text("x")), { storageClass });
          expect((await store.head(`stream/${storageClass}`))?.storageClass).toBe(storageClass);
        }
      }),
    );
    test(
      "thaw of a readable object does nothing, of an absent one fails",
      withStore(async (store) => {
        await store.put("plain", text("x"));
        await store.thaw("plain", 1);
        expect(await read(store, "plain")).toBe("x");
        expect(await caught(store.thaw("absent", 1))).toMatchObject({ code: "not_found" });
      }),
    );
  });

  describe(`${name}: keys`, () => {
    test(
      "any key of the contract keeps its body apart from its neighbours",
      withStore(async (store) => {
        const keys = [...ODD_KEYS];
        await fill(store, keys);
        for (const key of keys) expect(await read(store, key)).toBe(key);
        expect(await listed(store, "")).toEqual(
          keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
        );
      }),
    );
    for (const key of ["", "/a", "a/", "a//b", "./a", "a/../b", "a\u0000b", "x".repeat(1025), "\ud800"]) {
      test(
        `refuses ${JSON.stringify(key.slice(0, 12))}`,
        withStore(async (store) => {
          expect(await caught(store.put(key, text("x")))).toBeInstanceOf(SystemError);
          expect(await caught(store.putIfAbsent(key, text("x")))).toBeInstanceOf(SystemError);
        }),
      );
    }
  });

  describe(`${name}: list`, () => {
    const keys = ["a", "a-b", "a/b", "a/b/c", "a/b/d", "a0", "ab/c", "b/1", "b/2", "b/3"];
    test(
      "is in byte order of the whole key",
      withStore(async (store) => {
        await fill(store, keys.toReversed());
        const page = await store.list({ prefix: "" });
        expect(page.objects.map(({ key }) => key)).toEqual(keys);
        expect(page.objects.map(({ size }) => size)).toEqual(keys.map(({ length }) => length));
        expect(page.next).toBeUndefined();
      }),
    );
    for (const [prefix, expected] of [
      ["a", ["a", "a-b", "a/b", "a/b/c", "a/b/d", "a0", "ab/c"]],
      ["a/", ["a/b", "a/b/c", "a/b/d"]],
      ["a/b", ["a/b", "a/b/c", "a/b/d"]],
      ["a/b/", ["a/b/c", "a/b/d"]],
      ["b/2", ["b/2"]],
      ["none/", []],
    ] as const) {
      test(
        `prefix ${JSON.stringify(prefix)}`,
        withStore(async (store) => {
          await fill(store, keys);
          expect(await listed(store, prefix)).toEqual([...expected]);
        }),
      );
    }
    test(
      "startAfter excludes the key itself and need not exist",
      withStore(async (store) => {
        await fill(store, keys);
        for (const after of [...keys, "a.", "a/", "a/a", "a/b/c0", "zz", "0"]) {
          const expected = keys.filter((key) => compareKeys(key, after) > 0);
          expect(await listed(store, "", after)).toEqual(expected);
        }
        expect(await listed(store, "b/", "a")).toEqual(["b/1", "b/2", "b/3"]);
        expect(await listed(store, "b/", "b/1")).toEqual(["b/2", "b/3"]);
        expect(await listed(store, "a", "b")).toEqual([]);
      }),
    );
    test(
      "pages of every size hold every key once",
      withStore(async (store) => {
        await fill(store, keys);
        for (const limit of [1, 2, 3, 9, 10, 11]) {
          const seen: string[] = [];
          for (let next: string | undefined = ""; next !== undefined;) {
            const after: { startAfter?: string } = next === "" ? {} : { startAfter: next };
            const page = await store.list({ prefix: "", limit, ...after });
            expect(page.objects.length).toBeLessThanOrEqual(limit);
            seen.push(...page.objects.map(({ key }) => key));
            next = page.next;
          }
          expect(seen).toEqual(keys);
        }
      }),
    );
    test(
      "folds keys at the delimiter, in pages of every size",
      withStore(async (store) => {
        await fill(store, keys);
        for (const limit of [1, 2, 3, 1000]) {
          const objects: string[] = [];
          const prefixes: string[] = [];
          for (let next: string | undefined = ""; next !== undefined;) {
            const after: { startAfter?: string } = next === "" ? {} : { startAfter: next };
            const page = await store.list({ prefix: "", delimiter: "/", limit, ...after });
            expect(page.objects.length + page.prefixes.length).toBeLessThanOrEqual(limit);
            objects.push(...page.objects.map(({ key }) => key));
            prefixes.push(...page.prefixes);
            next = page.next;
          }
          expect(objects).toEqual(["a", "a-b", "a0"]);
          expect(prefixes).toEqual(["a/", "ab/", "b/"]);
        }
        const below = await store.list({ prefix: "a/", delimiter: "/" });
        expect(below.objects.map(({ key }) => key)).toEqual(["a/b"]);
        expect(below.prefixes).toEqual(["a/b/"]);
      }),
    );
    test(
      "a prefix whose objects were deleted is gone",
      withStore(async (store) => {
        await fill(store, ["x/y/z", "x/w"]);
        await store.delete(["x/y/z"]);
        expect(await store.list({ prefix: "x/", delimiter: "/" })).toMatchObject({ prefixes: [] });
        expect(await listed(store, "x/y/")).toEqual([]);
      }),
    );
  });

  describe(`${name}: delete and copy`, () => {
    test(
      "deletes in batches, missing keys among them",
      withStore(async (store) => {
        const many = Array.from({ length: 60 }, (_, n) => `many/${n}`);
        await fill(store, [...many, "many", "kept"]);
        const missing = Array.from({ length: 1_000 }, (_, n) => `missing/${n}`);
        await store.delete([...missing, ...many]);
        expect(await listed(store, "")).toEqual(["kept", "many"]);
        await store.delete([]);
      }),
    );
    test(
      "copies body and takes the asked class",
      withStore(async (store) => {
        await store.put("from é+ %/x", text("body"), { storageClass: "STANDARD_IA" });
        await store.put("over", text("what was there before"));
        await store.copy("from é+ %/x", "to/y");
        await store.copy("from é+ %/x", "over", { storageClass: "GLACIER_IR" });
        expect(await read(store, "to/y")).toBe("body");
        expect(await read(store, "over")).toBe("body");
        expect((await store.head("to/y"))?.storageClass).toBe("STANDARD");
        expect((await store.head("over"))?.storageClass).toBe("GLACIER_IR");
        expect((await store.head("from é+ %/x"))?.storageClass).toBe("STANDARD_IA");
        expect(await caught(store.copy("absent", "z"))).toBeInstanceOf(UserError);
      }),
    );
  });

  describe(`${name}: abort`, () => {
    test(
      "an aborted signal stops every call with its reason",
      withStore(async (store) => {
        await store.put("there", text("x"));
        const reason = new Error("changed my mind");
        const signal = AbortSignal.abort(reason);
        const calls: (() => Promise<unknown>)[] = [
          () => store.putIfAbsent("new", text("x"), { signal }),
          () => store.put("new", text("x"), { signal }),
          () => store.get("there", { signal }),
          () => store.range("there", { suffix: 1 }, { signal }),
          () => store.head("there", { signal }),
          () => store.list({ prefix: "", signal }),
          () => store.delete(["there"], { signal }),
          () => store.copy("there", "new", { signal }),
          () => store.thaw("there", 1, { signal }),
        ];
        for (const call of calls) expect(await caught(call())).toBe(reason);
        expect(await listed(store, "")).toEqual(["there"]);
      }),
    );
    for (const method of ["put", "putIfAbsent"] as const) {
      test(
        `${method} of a stream that stalls ends at the abort and stores nothing`,
        withStore(async (store) => {
          const stalled = Promise.withResolvers<unknown>();
          const stream = new ReadableStream<Uint8Array>({
            start: (controller) => controller.enqueue(text("some")),
            cancel: stalled.resolve,
          });
          const controller = new AbortController();
          const reason = new Error("enough");
          const put = store[method]("stalled", { stream, length: 10 }, { signal: controller.signal });
          setTimeout(() => controller.abort(reason), 30);
          expect(await caught(put)).toBe(reason);
          await stalled.promise;
          expect(await store.head("stalled")).toBeUndefined();
        }),
      );
    }
    test(
      "get of a large object ends at the abort",
      withStore(async (store) => {
        await store.put("large", pattern(4 * MEBIBYTE));
        const controller = new AbortController();
        const found = await store.get("large", { signal: controller.signal });
        const reader = found?.stream.getReader();
        expect((await reader?.read())?.value?.length).toBeGreaterThan(0);
        const reason = new Error("seen enough");
        controller.abort(reason);
        expect(await caught(drain(reader))).toBe(reason);
      }),
    );
  });
}
