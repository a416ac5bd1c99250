import { expect, test } from "bun:test";
import { RateLimiter, clientName } from "./rate-limits.ts";

test("a bucket gives its burst, then what flows in; every name has its own", () => {
  let nowMs = 0;
  const limiter = new RateLimiter({ perSecond: 10, burst: 3 }, () => nowMs);
  expect([1, 2, 3, 4].map(() => limiter.take("a").allowed)).toEqual([true, true, true, false]);
  expect(limiter.take("b")).toEqual({ allowed: true, limit: 3, remaining: 2, resetMs: 100 });
  expect(limiter.take("a")).toEqual({ allowed: false, limit: 3, remaining: 0, resetMs: 100 });
  nowMs += 99;
  expect(limiter.take("a").allowed).toBe(false);
  nowMs += 1;
  expect(limiter.take("a").allowed).toBe(true);
  nowMs += 10_000;
  expect(limiter.take("a").remaining).toBe(2);
});

test.each([
  ["192.0.2.1", "192.0.2.1"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:DB8:1:2::9", "2001:db8:1:2::/64"],
  ["2001:db8::9", "2001:db8:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
])("%s is counted as %s", (address, name) => {
  expect(clientName(address)).toBe(name);
});
