import { describe, expect, test } from "bun:test";
import { inRange } from "./address-range.ts";
import { FixedWindows } from "./fixed-windows.ts";
import { compileRoutes } from "./router.ts";
import type { FeatureRoute } from "./route.ts";

test("FixedWindows allows so many in a window, which ends when nothing was allowed for its length", () => {
  const windows = new FixedWindows(2);
  const take = (key: string, nowMs: number): boolean => windows.take(key, 2, 1000, nowMs);
  expect([take("a", 0), take("a", 900), take("a", 1000), take("a", 1899), take("a", 1900)]).toEqual([
    true,
    true,
    false,
    false,
    true,
  ]);
  expect(take("b", 1900)).toBe(true);
  // A third key pushes out who was not seen for longest.
  expect([take("c", 1900), take("a", 1901), take("a", 1901)]).toEqual([true, true, true]);
});

describe("inRange", () => {
  const table: [string, string, boolean][] = [
    ["10.1.2.3", "10.0.0.0/8", true],
    ["11.1.2.3", "10.0.0.0/8", false],
    ["10.1.2.3", "10.1.2.3", true],
    ["2001:db8::1", "2001:db8::/32", true],
    ["2001:db9::1", "2001:db8::/32", false],
    ["10.1.2.3", "::/0", false],
    ["10.1.2.3", "10.0.0.0/40", false],
    ["10.1.2.3", "nonsense", false],
    ["", "0.0.0.0/0", false],
  ];
  for (const [address, range, expected] of table) {
    test(`${address} in ${range}`, () => expect(inRange(address, range)).toBe(expected));
  }
});

test("compileRoutes finds by method and pattern, decodes parameters, serves HEAD by GET", () => {
  const route = (method: FeatureRoute["method"], path: string): FeatureRoute => ({
    method,
    path,
    handle: () => new Response(),
  });
  const routes = [
    route("GET", "/api/c/:collection/records"),
    route("GET", "/api/c/:collection/records/:id"),
    route("GET", "/api/c/meta/scaffolds"),
    route("POST", "/api/c"),
  ];
  const find = compileRoutes(routes);
  expect(find("GET", "/api/c/a%20b/records")).toMatchObject({ params: { collection: "a b" } });
  expect(find("HEAD", "/api/c/x/records/1")).toEqual({
    route: routes[1] as FeatureRoute,
    params: { collection: "x", id: "1" },
  });
  expect(find("GET", "/api/c/meta/scaffolds")?.route).toBe(routes[2] as FeatureRoute);
  expect(find("GET", "/api/c/%E0%A4%A/records")).toMatchObject({ params: { collection: "%E0%A4%A" } });
  expect(find("GET", "/api/c")).toBeUndefined();
  expect(find("GET", "/api/c/x/records/")).toBeUndefined();
});
