import { describe, expect, test } from "bun:test";
import type { Incarnation } from "../../shared/ids.ts";
import { Domain, refusal, seq } from "./domain-fixture.ts";
import { declareDead, drainWorker, exitWorker, recordSeal } from "./end-worker.ts";
import { sealKey, workerKey } from "./keys.ts";
import type { WorkerState } from "./records.ts";

type Step = "drain" | "die" | "seal" | "exit";

function step(domain: Domain, worker: Incarnation, name: Step): void {
  const { table } = domain;
  if (name === "drain") domain.run(drainWorker(table, domain.meta(), worker));
  if (name === "die") domain.run(declareDead(table, domain.meta(), worker, { why: "test", seq: seq(4) }));
  if (name === "seal") domain.run(recordSeal(table, domain.meta(), worker, seq(5)));
  if (name === "exit") domain.run(exitWorker(table, domain.meta(), worker, seq(5)));
}

describe("the end of a worker", () => {
  const paths: [Step[], WorkerState, boolean][] = [
    [["drain"], "draining", false],
    [["drain", "drain"], "draining", false],
    [["die"], "dead", false],
    [["die", "drain"], "dead", false],
    [["drain", "die", "seal"], "sealed", true],
    [["seal"], "live", false],
    [["exit"], "exited", true],
    [["drain", "exit"], "exited", true],
    [["exit", "die"], "exited", true],
    [["exit", "exit"], "exited", true],
    [["die", "exit"], "sealed", true],
    [["die", "seal", "exit"], "sealed", true],
  ];
  test.each(paths)("%j ends %s", (steps, state, sealed) => {
    const domain = new Domain();
    const worker = domain.register("1");
    for (const name of steps) step(domain, worker, name);
    expect(domain.table.get(workerKey(worker))?.state).toBe(state);
    expect(domain.table.get(sealKey(worker))).toEqual(sealed ? { endSeq: seq(5) } : undefined);
  });

  test("death keeps the last known slot for the sealer", () => {
    const domain = new Domain();
    const worker = domain.register("1");
    step(domain, worker, "die");
    expect(domain.table.get(workerKey(worker))?.seq).toBe(seq(4));
  });

  test("a second end of a log that differs from the first is a broken invariant", () => {
    const domain = new Domain();
    const worker = domain.register("1");
    step(domain, worker, "die");
    step(domain, worker, "seal");
    expect(refusal(recordSeal(domain.table, domain.meta(), worker, seq(6)))).toBe("internal");
    expect(refusal(exitWorker(domain.table, domain.meta(), worker, seq(6)))).toBe("internal");
  });

  test("an unknown worker cannot exit", () => {
    const domain = new Domain();
    const decision = exitWorker(domain.table, domain.meta(), 5 as Incarnation, seq(1));
    expect(refusal(decision)).toBe("worker_not_found");
  });
});
