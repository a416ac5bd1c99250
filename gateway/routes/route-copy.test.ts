import { expect, test } from "bun:test";
import type { Slug } from "../../shared/ids.ts";
import { routeSchema } from "../../shared/protocol/internal.ts";
import { RouteCopy } from "./route-copy.ts";
import { RouteTable } from "./route-table.ts";

const acme = "acme" as Slug;
const route = routeSchema.parse({
  tenant: "t".repeat(15),
  slug: "acme",
  state: "active",
  suspended: false,
  epoch: 1,
  revision: 7,
});

function fileOf(text?: string) {
  const file = {
    text,
    writes: 0,
    read: () => {
      if (file.text === undefined) throw new Error("no such file");
      return file.text;
    },
    write: (next: string) => {
      file.text = next;
      file.writes += 1;
      return Promise.resolve();
    },
  };
  return file;
}

test("what was saved is a hint for the next life, and says nothing of the revision", async () => {
  const table = new RouteTable();
  const file = fileOf();
  const copy = new RouteCopy(table, file, "http://control");
  expect(copy.load()).toBeUndefined();
  await copy.save();
  expect(file.writes).toBe(0);
  table.learn(route);
  await copy.save();
  await copy.save();
  expect(file.writes).toBe(1);

  const next = new RouteTable();
  expect(new RouteCopy(next, file, "http://control").load()).toBeUndefined();
  expect(next.find(acme)?.epoch).toBe(1);
  expect(next.findSlug(route.tenant)).toBe(acme);
  expect(next.revision).toBe(0 as never);

  const elsewhere = new RouteTable();
  expect(new RouteCopy(elsewhere, file, "http://other").load()).toBeUndefined();
  expect(elsewhere.size).toBe(0);
});

test.each([
  "",
  "{",
  "[]",
  '{"format":2,"control":"http://control","routes":[]}',
  '{"format":1,"routes":[{}]}',
])("a copy that reads %j is told of and left", (text) => {
  const table = new RouteTable();
  expect(new RouteCopy(table, fileOf(text), "http://control").load()).toStartWith("Cannot read the copy");
  expect(table.size).toBe(0);
});

test("where no stream is, a route has a life, and after it is still better than none", () => {
  let nowMs = 0;
  const table = new RouteTable({ lifeMs: 1_000, nowMs: () => nowMs });
  table.learn(route);
  nowMs = 999;
  expect(table.find(acme)).toBe(route);
  nowMs = 1_000;
  expect(table.find(acme)).toBeUndefined();
  expect(table.findStale(acme)).toBe(route);
});
