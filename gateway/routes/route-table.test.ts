import { expect, test } from "bun:test";
import type { Slug } from "../../shared/ids.ts";
import { type Route, routeSchema } from "../../shared/protocol/internal.ts";
import { RouteTable } from "./route-table.ts";

const route = (slug: string, revision: number): Route =>
  routeSchema.parse({
    tenant: "t".repeat(15),
    slug,
    state: "active",
    suspended: false,
    epoch: revision,
    revision,
  });
const acme = "acme" as Slug;

test("a late answer does not undo a newer one", () => {
  const table = new RouteTable();
  table.learn(route("acme", 5));
  table.learn(route("acme", 4));
  expect(table.find(acme)?.epoch).toBe(5);
  table.apply(6 as never, [route("acme", 6)]);
  expect(table.find(acme)?.epoch).toBe(6);
  expect(table.revision).toBe(6 as never);
});

test("a deleted tenant is dropped, a snapshot replaces everything", () => {
  const table = new RouteTable();
  table.replaceAll({ revision: 3 as never, routes: [route("acme", 1), route("other", 2)] });
  table.apply(4 as never, [{ slug: acme, deleted: true }]);
  expect(table.find(acme)).toBeUndefined();
  expect(table.size).toBe(1);
  table.forgetRevision();
  expect(table.revision).toBe(0 as never);
  expect(table.size).toBe(1);
});
