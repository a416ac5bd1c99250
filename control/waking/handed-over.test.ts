import { describe, expect, test } from "bun:test";
import type { TenantId, Txid } from "../../shared/ids.ts";
import { assignmentOf } from "../domain/assignment.ts";
import { Domain, epoch, seq } from "../domain/domain-fixture.ts";
import { exitWorker } from "../domain/end-worker.ts";
import { type ReleasedTenant, applyReports, releaseTenants } from "../domain/report-tenants.ts";
import { beginTransfer, finishTransfer } from "../domain/transfer-tenant.ts";
import { keptOf } from "../disaster/metadata.ts";

const base = { "data.db": { txid: 4 as Txid, entryHash: "h" } };
const carried = { tries: "x" };

function served(): { domain: Domain; id: TenantId; owner: ReturnType<Domain["register"]> } {
  const domain = new Domain();
  const owner = domain.register("1");
  const id = domain.create("a");
  domain.assign(id);
  return { domain, id, owner };
}

const due = (domain: Domain, untilMs: number): TenantId[] => [...domain.table.due(untilMs)];

describe("what an owner tells of when its tenant is due", () => {
  test("is kept, replaced and forgotten; another epoch's is ignored; what says nothing changes nothing", () => {
    const { domain, id, owner } = served();
    const report = (at: number, dueMs?: number | null): unknown =>
      domain.run(
        applyReports(domain.table, domain.meta(), owner, [
          { tenant: id, epoch: epoch(at), kind: "serving", ...(dueMs === undefined ? {} : { dueMs }) },
        ]),
      );
    report(1, 120_000);
    report(2, 60_000);
    report(1);
    expect(domain.tenant(id)).toMatchObject({ dueMs: 120_000, state: "active" });
    expect([due(domain, 119_999), due(domain, 120_000)]).toEqual([[], [id]]);
    expect(report(1, 120_000)).toBe(0);
    report(1, null);
    expect(domain.tenant(id)).not.toContainKey("dueMs");
    expect(due(domain, 120_000)).toEqual([]);
  });

  test("is no part of the metadata in object storage: no request for each run of a job", () => {
    const { domain, id } = served();
    const record = domain.tenant(id);
    expect(keptOf({ ...record, dueMs: 1, carried })).toEqual(keptOf(record));
  });
});

describe("what a released tenant carries", () => {
  test("by a clean exit: the next owner gets it, once", () => {
    const { domain, id, owner } = served();
    domain.run(exitWorker(domain.table, domain.meta(), owner, seq(2)));
    const released: ReleasedTenant[] = [{ tenant: id, epoch: epoch(1), base, dueMs: 60_000, carried }];
    domain.run(releaseTenants(domain.table, domain.meta(), owner, released));
    expectOnce(domain, id, domain.register("2"));
  });

  test("by a transfer: the next owner gets it, once", () => {
    const { domain, id } = served();
    const meta = domain.meta();
    const moving = domain.run(beginTransfer(domain.table, { meta, id, why: "evict" }));
    const transfer = moving.transfer?.id ?? "";
    const handed = { dueMs: 60_000, carried };
    domain.run(finishTransfer(domain.table, domain.meta(), id, transfer, base, handed));
    expectOnce(domain, id, domain.register("2"));
  });

  function expectOnce(domain: Domain, id: TenantId, next: ReturnType<Domain["register"]>): void {
    expect(domain.tenant(id)).toMatchObject({ dueMs: 60_000, carried });
    domain.assign(id);
    const owner = domain.tenant(id).owner?.incarnation ?? next;
    expect(assignmentOf(domain.tenant(id), owner)).toMatchObject({ dueMs: 60_000, carried });
    const report = { tenant: id, epoch: domain.tenant(id).epoch, kind: "serving" as const };
    domain.run(applyReports(domain.table, domain.meta(), owner, [report]));
    expect(domain.tenant(id)).not.toContainKey("carried");
    expect(domain.tenant(id).dueMs).toBe(60_000);
  }
});
