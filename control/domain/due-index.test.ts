import { expect, test } from "bun:test";
import type { TenantId } from "../../shared/ids.ts";
import { DueIndex } from "./due-index.ts";

const [a, b, c] = ["a", "b", "c"] as unknown as [TenantId, TenantId, TenantId];
const MINUTE_MS = 60_000;

test("DueIndex lists by minute, earliest first, and forgets", () => {
  const index = new DueIndex();
  index.set(a, 3 * MINUTE_MS);
  index.set(b, 1 * MINUTE_MS + 5);
  index.set(c, 9 * MINUTE_MS);
  expect([...index.until(MINUTE_MS)]).toEqual([b]);
  expect([...index.until(3 * MINUTE_MS)]).toEqual([b, a]);
  index.set(b, 4 * MINUTE_MS);
  index.set(a, undefined);
  expect([...index.until(8 * MINUTE_MS)]).toEqual([b]);
  index.clear();
  expect([...index.until(10 * MINUTE_MS)]).toEqual([]);
});
