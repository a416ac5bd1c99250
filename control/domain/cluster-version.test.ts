import { describe, expect, test } from "bun:test";
import { announceReplica, compareVersions, oldestPart } from "./cluster-version.ts";
import { Domain } from "./domain-fixture.ts";

describe("oldestPart", () => {
  test("is the lowest release of members and serving workers, whoever else was there before", () => {
    const domain = new Domain();
    const own = { version: "0.3.0", who: "control a" };
    for (const [id, version] of [
      ["a", "0.3.0"],
      ["b", "0.2.0"],
      ["gone", "0.0.1"],
    ] as const) {
      domain.run(announceReplica(domain.table, id, version));
    }
    expect(oldestPart(domain.table, ["a", "b"], own)).toEqual({ version: "0.2.0", who: "control b" });
    const worker = domain.register("1");
    expect(oldestPart(domain.table, ["a", "b"], own)).toEqual({ version: "0.1.0", who: `worker ${worker}` });
    domain.die(worker);
    expect(oldestPart(domain.table, ["a", "b"], own).who).toBe("control b");
    expect(oldestPart(domain.table, ["a"], own)).toEqual(own);
    expect(announceReplica(domain.table, "a", "0.3.0")).toEqual({ settled: undefined });
  });
});

test("compareVersions counts numbers, not letters", () => {
  expect(compareVersions("0.10.0", "0.9.9")).toBeGreaterThan(0);
  expect(compareVersions("1.0", "1.0.1")).toBeLessThan(0);
  expect(compareVersions("1.0.0-rc1", "1.0.0")).toBe(0);
});
