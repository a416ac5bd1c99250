import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { type Packed, packEntries, unpackEntries } from "./packed-entries.ts";
import type { RequestFacts } from "./request-facts.ts";

const some = fc.constantFrom<string | null>(null, "a", "b");
const text = fc.oneof(fc.constantFrom("GET", "/api", ""), fc.string());
const facts = fc
  .tuple(
    fc.nat(),
    fc.constantFrom(0, 8),
    fc.nat(1e9).map((ns) => ns / 1e6),
    fc.constantFrom(200, 204, 404),
    ...([text, text, text, text, text] as const),
    ...([some, some, some] as const),
  )
  .map((all): RequestFacts => all);
const entry = fc.record({
  timeMs: fc.nat(),
  level: fc.integer(),
  message: fc.string(),
  data: fc.dictionary(
    fc.string().filter((name) => name !== "__proto__"),
    fc.nat(),
    { noNullPrototype: true },
  ),
});

test("what is packed is unpacked, in its order", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(facts, entry), { maxLength: 60 }), (all) => {
      expect(unpackEntries(packEntries(all))).toEqual(all);
    }),
  );
});

test("requests that differ in one thing alone stay apart", () => {
  const one: RequestFacts = [1, 0, 0.25, 200, "GET", "/", "r", "a", "u", "i", "10.0.0.1", "10.0.0.2"];
  const others = one.map(
    (_, at) => one.with(at, typeof one[at] === "number" ? 8 : "other") as unknown as RequestFacts,
  );
  const all = others.flatMap((other) => [one, other]);
  expect(unpackEntries(packEntries(all))).toEqual(all);
});

test("what requests have in common takes no room in each", () => {
  const one = (i: number): RequestFacts => [
    i,
    0,
    i / 1e6,
    200,
    "GET",
    "/",
    "",
    `agent ${i % 3}`,
    "",
    null,
    null,
    null,
  ];
  const packed = packEntries(Array.from({ length: 1_000 }, (_, i) => one(i)));
  const texts = new TextDecoder().decode(Bun.zstdDecompressSync(packed));
  expect(texts.split("agent").length - 1).toBe(3);
});

test("what earlier releases packed is read, and what cannot be read is given up", () => {
  const old: Packed[] = [
    { timeMs: 1, level: 0, message: "m", data: { a: 1 } },
    [2, 0, 0.25, 200, "GET", "/", "", "", "", null, null, null],
  ];
  expect(unpackEntries(Bun.zstdCompressSync(JSON.stringify(old)))).toEqual(old);
  const damaged = { commons: [], rows: [[1, 2, "/", 0]] };
  for (const packed of [
    new Uint8Array(3),
    Bun.zstdCompressSync("{}"),
    Bun.zstdCompressSync(JSON.stringify(damaged)),
  ])
    expect(unpackEntries(packed)).toEqual([]);
});
