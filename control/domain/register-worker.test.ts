import { describe, expect, test } from "bun:test";
import type { Incarnation } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { intendBlock } from "./blocks.ts";
import { Domain, NOW_MS, refusal } from "./domain-fixture.ts";
import { BLOCKS, workerKey } from "./keys.ts";
import { registerWorker } from "./register-worker.ts";
import { draft, put } from "./view.ts";

const REQUEST = { url: "http://w:1/", nonce: "1".padStart(32, "0"), version: "0.1.0", nowMs: NOW_MS };

describe("registerWorker", () => {
  test("numbers come from the claimed block, one after the other", () => {
    const domain = new Domain();
    expect([domain.register("1"), domain.register("2")] as number[]).toEqual([65_536, 65_537]);
  });

  test("a new term's block gives other numbers, also when the old one had some left", () => {
    const domain = new Domain();
    domain.register("1");
    domain.run(intendBlock(domain.table, domain.meta()));
    const decision = registerWorker(domain.table, {
      meta: domain.meta(),
      request: { ...REQUEST, nonce: "2".padStart(32, "0") },
      block: 2,
    });
    expect(domain.run(decision) as number).toBe(131_072);
  });

  test("the same nonce is the same registration, until that incarnation ended", () => {
    const domain = new Domain();
    const first = domain.register("1");
    expect(domain.register("1")).toBe(first);
    domain.die(first);
    const again = registerWorker(domain.table, { meta: domain.meta(), request: REQUEST, block: 1 });
    expect(refusal(again)).toBe("conflict");
  });

  test("replaces declares the predecessor dead in the same transaction; an unknown one is ignored", () => {
    const domain = new Domain();
    const old = domain.register("1");
    domain.register("2", { replaces: old });
    expect(domain.table.get(workerKey(old))?.state).toBe("dead");
    expect(() => domain.register("3", { replaces: 99 as Incarnation })).not.toThrow();
  });

  const cases: [string, { nowMs?: number; block?: number; used?: number }, string][] = [
    ["a clock within the bound", { nowMs: NOW_MS + limits.clockSkewMsMax }, "none"],
    ["a clock too far ahead", { nowMs: NOW_MS + limits.clockSkewMsMax + 1 }, "clock_skewed"],
    ["a clock too far behind", { nowMs: NOW_MS - limits.clockSkewMsMax - 1 }, "clock_skewed"],
    ["a block of another leader", { block: 2 }, "control_no_leader"],
    ["a block that is used up", { used: limits.incarnationsPerBlock }, "overloaded"],
    ["the last number of a block", { used: limits.incarnationsPerBlock - 1 }, "none"],
  ];
  test.each(cases)("%s", (_, { nowMs = NOW_MS, block = 1, used = 0 }, expected) => {
    const domain = new Domain();
    domain.run({ draft: draft(domain.table, [], [put(BLOCKS, { block: 1, used })]), value: undefined });
    const request = { ...REQUEST, nowMs };
    expect(refusal(registerWorker(domain.table, { meta: domain.meta(), request, block }))).toBe(expected);
  });
});
