import { describe, expect, test } from "bun:test";
import type { Incarnation, TenantId, Txid } from "../../shared/ids.ts";
import type { Positions } from "../../shared/protocol/internal.ts";
import { Domain, epoch, seq } from "./domain-fixture.ts";
import { exitWorker } from "./end-worker.ts";
import { type TenantReport, applyReports, releaseTenants } from "./report-tenants.ts";

const at = (txid: number): Positions => ({ "data.db": { txid: txid as Txid, entryHash: `h${txid}` } });

/** A tenant at epoch 2 with one tail, taken over from a dead worker. */
function taken(): { domain: Domain; id: TenantId; old: Incarnation; owner: Incarnation } {
  const domain = new Domain();
  const old = domain.register("1");
  const id = domain.create("a");
  domain.assign(id);
  domain.die(old);
  domain.seal(old, 7);
  const owner = domain.register("2");
  domain.assign(id);
  return { domain, id, old, owner };
}

describe("applyReports", () => {
  const cases: [string, (old: Incarnation) => Partial<TenantReport>[], object, number][] = [
    ["serving", () => [{ kind: "serving" }], { state: "active", virgin: true }, 1],
    ["serving twice", () => [{ kind: "serving" }, { kind: "serving" }], { state: "active" }, 1],
    ["of another epoch", () => [{ kind: "serving", epoch: epoch(1) }], { state: "deploying" }, 0],
    [
      "materialised without clearing",
      () => [{ kind: "materialised", base: at(3) }],
      { base: at(3), virgin: false, tails: [{ endSeq: seq(7) }] },
      1,
    ],
    [
      "materialised and cleared",
      (old) => [{ kind: "materialised", base: at(3), cleared: [old] }],
      { base: at(3), virgin: false, tails: [] },
      1,
    ],
    [
      "overtaken by a newer one",
      () => [
        { kind: "materialised", base: at(5) },
        { kind: "materialised", base: at(3) },
      ],
      { base: at(5) },
      1,
    ],
    ["of nothing", () => [{ kind: "materialised", base: {} }], { base: {}, virgin: true }, 0],
    ["of position 0", () => [{ kind: "materialised", base: at(0) }], { virgin: true }, 0],
  ];
  test.each(cases)("%s", (_, make, expected, changed) => {
    const { domain, id, old, owner } = taken();
    const whole: TenantReport = { tenant: id, epoch: epoch(2), kind: "serving" };
    const reports = make(old).map((report) => Object.assign({ ...whole }, report));
    expect(domain.run(applyReports(domain.table, domain.meta(), owner, reports))).toBe(changed);
    expect(domain.tenant(id)).toMatchObject(expected);
  });

  test("of a worker that is not the owner: ignored", () => {
    const { domain, id, old } = taken();
    const reports: TenantReport[] = [{ tenant: id, epoch: epoch(2), kind: "serving" }];
    expect(domain.run(applyReports(domain.table, domain.meta(), old, reports))).toBe(0);
  });
});

describe("releaseTenants", () => {
  test("no owner, no tails, evicted at base; the next owner gets the next epoch and no tail", () => {
    const { domain, id, owner } = taken();
    domain.run(exitWorker(domain.table, domain.meta(), owner, seq(2)));
    const released = [{ tenant: id, epoch: epoch(2), base: at(4) }];
    domain.run(releaseTenants(domain.table, domain.meta(), owner, released));
    expect(domain.tenant(id)).toMatchObject({ state: "evicted", base: at(4), tails: [], virgin: false });
    expect(domain.tenant(id).owner).toBeUndefined();
    domain.register("3");
    expect(domain.assign(id)).toMatchObject({ epoch: 3, tails: [], base: at(4) });
  });

  test("a tenant that was assigned but never released is taken over with the exited log as a tail", () => {
    const { domain, id, owner } = taken();
    domain.run(exitWorker(domain.table, domain.meta(), owner, seq(2)));
    domain.register("3");
    expect(domain.assign(id).tails.map((tail) => tail.endSeq as number)).toEqual([7, 2]);
  });

  test("a release of an old epoch is ignored", () => {
    const { domain, id, owner } = taken();
    const released = [{ tenant: id, epoch: epoch(1), base: at(4) }];
    expect(domain.run(releaseTenants(domain.table, domain.meta(), owner, released))).toBe(0);
    expect(domain.tenant(id).owner).toEqual({ incarnation: owner });
  });
});
