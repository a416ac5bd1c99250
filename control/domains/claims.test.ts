import { describe, expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import { deleteTenant, beginPurge, finishPurge } from "../domain/delete-tenant.ts";
import { Domain, NOW_MS, refusal } from "../domain/domain-fixture.ts";
import { findTenant } from "../domain/find-tenant.ts";
import { domainKey } from "../domain/keys.ts";
import { claimDomain, domainsOf, proveDomain, removeDomain } from "./claims.ts";

const NAME = "www.example.org";

function setup() {
  const world = new Domain();
  const [a, b] = [world.create("acme"), world.create("beta")];
  const claim = (id = a, domain = NAME, token = `t-${id}`, afterMs = 0) =>
    claimDomain(world.table, { meta: { ...world.meta(), atMs: NOW_MS + afterMs }, id, domain, token });
  const prove = (id = a, domain = NAME, token = `t-${id}`) =>
    proveDomain(world.table, { meta: world.meta(), id, domain, token });
  const drop = (id = a, domain = NAME) => removeDomain(world.table, { meta: world.meta(), id, domain });
  return { world, a, b, claim, prove, drop };
}

describe("custom domains", () => {
  test("a claimed name is found by nobody, a verified one by its tenant, a removed one by nobody", () => {
    const { world, a, claim, prove, drop } = setup();
    const found = () => findTenant(world.table, { host: NAME })?.id;
    const audited = world.table.auditEntries;
    world.run(claim());
    expect([world.tenant(a).domainClaims, world.tenant(a).domains, found()]).toEqual([
      [NAME],
      undefined,
      undefined,
    ]);
    world.run(prove());
    expect([world.tenant(a).domainClaims, world.tenant(a).domains, found()]).toEqual([undefined, [NAME], a]);
    world.run(drop());
    expect([world.tenant(a).domains, found()]).toEqual([undefined, undefined]);
    expect(world.table.get(domainKey(NAME))).toBeUndefined();
    expect(world.table.auditEntries).toBe(audited + 3);
  });

  test("a name belongs to one tenant; its own claim again gives the same token", () => {
    const { world, a, b, claim, prove, drop } = setup();
    world.run(claim());
    expect(world.run(claim(a, NAME, "another")).token).toBe(`t-${a}`);
    expect(refusal(claim(b))).toBe("domain_taken");
    expect(refusal(prove(b))).toBe("not_found");
    expect(refusal(drop(b))).toBe("not_found");
    world.run(prove());
    expect(refusal(claim(b, NAME, "x", limits.domainClaimMs * 10))).toBe("domain_taken");
    expect(world.run(prove())).toMatchObject({ tenant: a });
  });

  test("a claim that was not proved in time gives way to another tenant's", () => {
    const { world, a, b, claim, prove } = setup();
    world.run(claim());
    expect(refusal(claim(b, NAME, "t", limits.domainClaimMs - 1))).toBe("domain_taken");
    world.run(claim(b, NAME, `t-${b}`, limits.domainClaimMs));
    expect(world.tenant(a).domainClaims).toBeUndefined();
    expect(refusal(prove(a))).toBe("not_found");
    world.run(prove(b));
    expect(findTenant(world.table, { host: NAME })?.id).toBe(b);
  });

  test("another token than the one that was looked for proves nothing", () => {
    const { world, a, claim, prove } = setup();
    world.run(claim());
    expect(refusal(prove(a, NAME, "other"))).toBe("not_found");
  });

  test("a tenant has a bounded number of them", () => {
    const { world, a, claim } = setup();
    for (let i = 0; i < limits.tenantDomainsMax; i++) world.run(claim(a, `a${i}.example.org`));
    expect(refusal(claim())).toBe("conflict");
    expect(domainsOf(world.table, world.tenant(a))).toHaveLength(limits.tenantDomainsMax);
  });

  test("a purged tenant's names are free, a deleted one's are not", () => {
    const { world, a, b, claim, prove } = setup();
    world.run(claim());
    world.run(prove());
    world.run(deleteTenant(world.table, world.meta(), a, 0));
    expect(refusal(claim(b))).toBe("domain_taken");
    expect(refusal(claim(a, "more.example.org"))).toBe("conflict");
    world.run(beginPurge(world.table, world.meta(), a));
    world.run(finishPurge(world.table, world.meta(), a));
    expect(world.run(claim(b)).tenant).toBe(b);
  });
});
