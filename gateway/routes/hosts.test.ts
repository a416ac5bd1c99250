import { describe, expect, test } from "bun:test";
import { parseSlug } from "../../shared/ids.ts";
import { type Route, routeSchema } from "../../shared/protocol/internal.ts";
import { RouteTable } from "./route-table.ts";

const route = (slug: string, revision: number, ...domains: string[]): Route =>
  routeSchema.parse({
    tenant: slug.padEnd(15, "0"),
    slug,
    state: "active",
    suspended: false,
    epoch: 1,
    revision,
    ...(domains.length === 0 ? {} : { domains }),
  });

describe("custom hosts of the table", () => {
  test("come and go with their routes", () => {
    const table = new RouteTable();
    const [a, b] = [parseSlug("acme"), parseSlug("beta")];
    const slugs = () => ["x.org", "y.org"].map((host) => table.findHost(host));
    table.replaceAll({ revision: 1 as never, routes: [route("acme", 1, "x.org"), route("beta", 1)] });
    expect(slugs()).toEqual([a, undefined]);
    table.learn(route("acme", 2, "x.org", "y.org"));
    expect(slugs()).toEqual([a, a]);
    table.learn(route("acme", 3, "y.org"));
    expect(slugs()).toEqual([undefined, a]);
    // The new owner's change came first: the old one's takes nothing from it.
    table.learn(route("beta", 5, "y.org"));
    table.learn(route("acme", 5));
    expect(slugs()).toEqual([undefined, b]);
    table.drop(b);
    expect(slugs()).toEqual([undefined, undefined]);
  });

  test("are believed as long as their route", () => {
    let nowMs = 0;
    const table = new RouteTable({ lifeMs: 10, nowMs: () => nowMs });
    table.learn(route("acme", 1, "x.org"));
    expect(table.findHost("x.org")).toBe(parseSlug("acme"));
    nowMs = 11;
    expect(table.findHost("x.org")).toBeUndefined();
    expect(table.findStaleHost("x.org")).toBe(parseSlug("acme"));
  });
});
