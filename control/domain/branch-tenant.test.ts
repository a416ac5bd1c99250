import { describe, expect, test } from "bun:test";
import type { Txid } from "../../shared/ids.ts";
import {
  type BranchTenant,
  createBranch,
  detachTenant,
  forgetPin,
  giveUpPin,
  intendBranch,
} from "./branch-tenant.ts";
import { beginPurge, deleteTenant } from "./delete-tenant.ts";
import { Domain, NOW_MS, refusal, slug, tenantId } from "./domain-fixture.ts";
import { pinRecordKey } from "./keys.ts";

const ID = tenantId("b");
const POINT = {
  branch: ID,
  at: "2026-01-01T00:00:00.000Z",
  point: { txid: 5 as Txid, at: "2026-01-01T00:00:00.000Z" },
  exact: true,
  databases: { "data.db": { txid: 5 as Txid } },
};

function started(): { domain: Domain; command: BranchTenant } {
  const domain = new Domain();
  const parent = domain.create("acme");
  return { domain, command: { meta: domain.meta(), id: ID, slug: slug("next"), parent } };
}

const branched = (domain: Domain, command: BranchTenant): void => {
  domain.run(intendBranch(domain.table, command));
  domain.run(createBranch(domain.table, { ...command, meta: domain.meta(), point: POINT }));
};

describe("a branch", () => {
  test("begins at the pinned point, never virgin, and its pin's record goes in the same transaction", () => {
    const { domain, command } = started();
    expect(domain.run(intendBranch(domain.table, command))).toBeUndefined();
    expect(domain.table.get(pinRecordKey(ID))).toEqual({ branch: ID, parent: command.parent, atMs: NOW_MS });
    const before = domain.table.auditEntries;
    domain.run(createBranch(domain.table, { ...command, meta: domain.meta(), point: POINT }));
    expect(domain.table.auditEntries).toBe(before + 1);
    expect(domain.tenant(ID)).toMatchObject({
      virgin: false,
      epoch: 0,
      durability: "durable",
      base: { "data.db": { txid: 5, entryHash: "" } },
      origin: { tenant: command.parent, encrypted: false, databases: { "data.db": 5 } },
    });
    expect(domain.table.get(pinRecordKey(ID))).toBeUndefined();
    expect([...domain.table.branchesOf(command.parent)]).toEqual([ID]);
  });

  test("cannot come of a pin that was given up, and one that was made cannot be given up", () => {
    const { domain, command } = started();
    domain.run(intendBranch(domain.table, command));
    expect(domain.run(giveUpPin(domain.table, ID, NOW_MS - 1))).toBeUndefined();
    expect(domain.run(giveUpPin(domain.table, ID, NOW_MS))).toMatchObject({ removing: true });
    expect(refusal(createBranch(domain.table, { ...command, meta: domain.meta(), point: POINT }))).toBe(
      "conflict",
    );
    domain.run(forgetPin(domain.table, ID));
    expect([...domain.table.pins()]).toEqual([]);
    const other = started();
    branched(other.domain, other.command);
    expect(other.domain.run(giveUpPin(other.domain.table, ID, Infinity))).toBeUndefined();
  });

  test("is refused of a parent that is deleted, archived, itself a branch, and under a slug in use", () => {
    const { domain, command } = started();
    branched(domain, command);
    const again = { ...command, id: tenantId("c"), slug: slug("third") };
    expect(refusal(intendBranch(domain.table, { ...again, parent: ID }))).toBe("conflict");
    expect(refusal(intendBranch(domain.table, { ...again, slug: slug("next") }))).toBe("slug_taken");
    expect(refusal(intendBranch(domain.table, { ...again, parent: tenantId("x") }))).toBe("tenant_not_found");
    domain.run(intendBranch(domain.table, again));
    domain.run(deleteTenant(domain.table, domain.meta(), command.parent, 0));
    const point = { ...POINT, branch: again.id };
    expect(refusal(createBranch(domain.table, { ...again, meta: domain.meta(), point }))).toBe("conflict");
  });

  test("made twice under one Idempotency-Key is made once", () => {
    const { domain, command } = started();
    const keyed = { ...command, idempotency: { key: "k", request: "r" } };
    branched(domain, keyed);
    const again = { ...keyed, id: tenantId("c") };
    expect(domain.run(intendBranch(domain.table, again))?.id).toBe(ID);
    const other = { ...again, idempotency: { key: "k", request: "other" } };
    expect(refusal(intendBranch(domain.table, other))).toBe("idempotency_mismatch");
  });

  test("keeps its parent from being purged until it is detached, and leaves its pin to be removed", () => {
    const { domain, command } = started();
    branched(domain, command);
    domain.run(deleteTenant(domain.table, domain.meta(), command.parent, 0));
    expect(domain.run(beginPurge(domain.table, domain.meta(), command.parent))).toBe(false);
    expect(domain.run(detachTenant(domain.table, domain.meta(), ID)).origin).toBeUndefined();
    expect(domain.table.get(pinRecordKey(ID))).toMatchObject({ parent: command.parent, removing: true });
    expect(domain.run(beginPurge(domain.table, domain.meta(), command.parent))).toBe(true);
    expect("settled" in detachTenant(domain.table, domain.meta(), ID)).toBe(true);
  });
});
