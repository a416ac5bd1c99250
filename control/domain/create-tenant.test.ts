import { describe, expect, test } from "bun:test";
import { type CreateTenant, createTenant } from "./create-tenant.ts";
import { Domain, refusal, slug, tenantId } from "./domain-fixture.ts";

const keyed = (key: string, request: string): Pick<CreateTenant, "idempotency"> => ({
  idempotency: { key, request },
});

describe("createTenant", () => {
  test("makes a virgin tenant that nobody owns, and audits it in the same transaction", () => {
    const domain = new Domain();
    const id = domain.create("acme");
    expect(domain.tenant(id)).toMatchObject({
      slug: "acme",
      state: "created",
      epoch: 0,
      virgin: true,
      base: {},
      tails: [],
    });
    expect(domain.table.auditEntries).toBe(1);
    expect(domain.table.revision as number).toBe(1);
  });

  const cases: [string, Partial<CreateTenant>, string][] = [
    ["another slug", { slug: slug("other"), id: tenantId("b") }, "none"],
    ["the same slug", { slug: slug("acme"), id: tenantId("b") }, "slug_taken"],
    ["a used key, the same request", { slug: slug("acme"), ...keyed("k", "r") }, "none"],
    ["a used key, another request", { slug: slug("other"), ...keyed("k", "x") }, "idempotency_mismatch"],
  ];
  test.each(cases)("%s", (_, change, expected) => {
    const domain = new Domain();
    const first: CreateTenant = {
      meta: domain.meta(),
      id: tenantId("a"),
      slug: slug("acme"),
      durability: "durable",
      ...keyed("k", "r"),
    };
    domain.run(createTenant(domain.table, first));
    const second = { ...first, idempotency: undefined, ...change } as CreateTenant;
    expect(refusal(createTenant(domain.table, second))).toBe(expected);
  });

  test("a used key gives the tenant that it made, and makes none", () => {
    const domain = new Domain();
    const command: CreateTenant = {
      meta: domain.meta(),
      id: tenantId("a"),
      slug: slug("acme"),
      durability: "durable",
      ...keyed("k", "r"),
    };
    domain.run(createTenant(domain.table, command));
    const again = createTenant(domain.table, { ...command, id: tenantId("b") });
    expect(again).toMatchObject({ settled: { id: tenantId("a") } });
  });
});
