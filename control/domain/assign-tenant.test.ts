import { describe, expect, test } from "bun:test";
import type { Epoch } from "../../shared/ids.ts";
import { assignTenant } from "./assign-tenant.ts";
import { Domain, refusal, seq, tenantId } from "./domain-fixture.ts";
import { drainWorker, exitWorker } from "./end-worker.ts";
import { sealKey, tenantKey, workerKey } from "./keys.ts";

describe("assignTenant", () => {
  test("first request: the least loaded live worker, epoch 1, no tails", () => {
    const domain = new Domain();
    const [first, second] = [domain.register("1"), domain.register("2")];
    const [a, b, c] = [domain.create("a"), domain.create("b"), domain.create("c")];
    expect(domain.assign(a)).toMatchObject({ epoch: 1, owner: { incarnation: first }, state: "deploying" });
    expect(domain.assign(b).owner).toEqual({ incarnation: second });
    expect(domain.assign(c).owner).toEqual({ incarnation: first });
    expect(domain.tenant(c).tails).toEqual([]);
  });

  test("an assigned tenant stays where it is", () => {
    const domain = new Domain();
    domain.register("1");
    const id = domain.create("a");
    domain.assign(id);
    domain.register("2");
    expect(domain.assign(id).epoch as number).toBe(1);
  });

  test("compares the tenant's key and the worker's: a worker that died meanwhile gets nobody", () => {
    const domain = new Domain();
    const worker = domain.register("1");
    const id = domain.create("a");
    const decision = assignTenant(domain.table, domain.meta(), id);
    domain.die(worker);
    expect(() => domain.run(decision)).toThrow(`compare failed: ${workerKey(worker)}`);
  });

  test("compares the old owner and the end of its log as well", () => {
    const domain = new Domain();
    const old = domain.register("1");
    const id = domain.create("a");
    domain.assign(id);
    domain.die(old);
    domain.seal(old, 7);
    const next = domain.register("2");
    const decision = assignTenant(domain.table, domain.meta(), id);
    const compared = "draft" in decision ? decision.draft.cmp.map(({ key }) => key).toSorted() : [];
    const expected: string[] = [tenantKey(id), workerKey(old), workerKey(next), sealKey(old)];
    expect(compared).toEqual(expected.toSorted());
  });

  test("takes nobody from a dead worker before its seal, then with the sealed log as a tail and a new epoch", () => {
    const domain = new Domain();
    const old = domain.register("1");
    const id = domain.create("a");
    domain.assign(id);
    domain.die(old);
    const next = domain.register("2");
    expect(refusal(assignTenant(domain.table, domain.meta(), id))).toBe("tenant_moving");
    domain.seal(old, 7);
    expect(domain.assign(id)).toMatchObject({
      epoch: 2,
      owner: { incarnation: next },
      tails: [{ incarnation: old, endSeq: 7, epoch: 1 }],
      virgin: true,
    });
  });

  test("tails collect in order of ownership; a log that ended empty is none", () => {
    const domain = new Domain();
    const id = domain.create("a");
    const ends = [3, 1, 9];
    const owners = ends.map((endSeq, i) => {
      const worker = domain.register(String(i + 1));
      domain.assign(id);
      domain.die(worker);
      domain.seal(worker, endSeq);
      return worker;
    });
    domain.register("4");
    expect(domain.assign(id).tails).toEqual([
      { incarnation: owners[0]!, endSeq: seq(3), epoch: 1 as Epoch },
      { incarnation: owners[2]!, endSeq: seq(9), epoch: 3 as Epoch },
    ]);
    expect(domain.tenant(id).epoch as number).toBe(4);
  });

  const none: [string, (domain: Domain) => void][] = [
    ["there is none", () => undefined],
    ["the only one drains", (d) => d.run(drainWorker(d.table, d.meta(), d.register("1")))],
    ["the only one is dead", (d) => d.die(d.register("1"))],
    ["the only one left", (d) => d.run(exitWorker(d.table, d.meta(), d.register("1"), seq(1)))],
  ];
  test.each(none)("no_worker when %s", (_, prepare) => {
    const domain = new Domain();
    const id = domain.create("a");
    prepare(domain);
    expect(refusal(assignTenant(domain.table, domain.meta(), id))).toBe("no_worker");
  });

  test("an unknown tenant", () => {
    const domain = new Domain();
    expect(refusal(assignTenant(domain.table, domain.meta(), tenantId("x")))).toBe("tenant_not_found");
  });
});
