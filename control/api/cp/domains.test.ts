import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { SystemError } from "../../../shared/errors.ts";
import { domainViewSchema } from "../../../shared/protocol/cp.ts";
import { routeSchema } from "../../../shared/protocol/internal.ts";
import { type TestControl, startTestControl } from "../../control-fixture.ts";

let running: TestControl;
let records: Record<string, string[]> = {};
let failure: Error | undefined;

beforeAll(async () => {
  running = await startTestControl(undefined, {
    domain: "platform.test",
    resolveTxt: (name) =>
      failure === undefined ? Promise.resolve(records[name] ?? []) : Promise.reject(failure),
  });
  for (const slug of ["acme", "other"]) await running.cp("POST", "/tenants", { slug });
});
afterAll(() => running.remove());
beforeEach(() => {
  records = {};
  failure = undefined;
});

const codeOf = ({ status, body }: { status: number; body: Record<string, unknown> }) =>
  [status, (body["error"] as { code: string } | undefined)?.code ?? ""] as const;
const at = (slug: string, ...rest: string[]) => ["/tenants", slug, "domains", ...rest].join("/");

describe("domains of a tenant", () => {
  test("are claimed, proved by DNS, listed, found by gateways, and taken away", async () => {
    const made = await running.cp("POST", at("acme"), { domain: "Shop.Example.ORG." });
    expect(made.status).toBe(201);
    const { record, ...view } = domainViewSchema.parse(made.body);
    expect(view).toMatchObject({ domain: "shop.example.org", state: "pending" });
    expect(record).toMatchObject({ name: "_manybase.shop.example.org", type: "TXT" });

    const verify = () => running.cp("POST", at("acme", "shop.example.org", "verify"));
    expect(codeOf(await verify())).toEqual([409, "domain_not_proved"]);
    records = { "_manybase.shop.example.org": ["something else", record.value.slice(1)] };
    expect(codeOf(await verify())).toEqual([409, "domain_not_proved"]);
    failure = new SystemError("domain_lookup_failed", "Cannot look it up");
    expect(codeOf(await verify())).toEqual([502, "domain_lookup_failed"]);
    failure = undefined;

    const find = (host: string) => running.gateway.call("POST", "/v1/routes/find", routeSchema, { host });
    await expect(find("shop.example.org")).rejects.toMatchObject({ code: "tenant_not_found" });
    records = { "_manybase.shop.example.org": ["something else", record.value] };
    expect(await verify()).toMatchObject({ status: 200, body: { state: "verified" } });
    expect(await find("shop.example.org")).toMatchObject({ slug: "acme", domains: ["shop.example.org"] });
    expect((await running.cp("GET", "/tenants/acme")).body).toMatchObject({ domains: ["shop.example.org"] });
    expect((await running.cp("GET", at("acme"))).body).toMatchObject({
      domains: [{ domain: "shop.example.org", state: "verified" }],
    });

    expect(codeOf(await running.cp("POST", at("other"), { domain: "shop.example.org" }))).toEqual([
      409,
      "domain_taken",
    ]);
    expect(codeOf(await running.cp("DELETE", at("other", "shop.example.org")))).toEqual([404, "not_found"]);
    expect((await running.cp("DELETE", at("acme", "shop.example.org"))).status).toBe(200);
    await expect(find("shop.example.org")).rejects.toMatchObject({ code: "tenant_not_found" });
    const audit = (await running.cp("GET", "/audit?limit=3")).body["entries"] as { action: string }[];
    expect(audit.map(({ action }) => action)).toEqual(["domain.remove", "domain.verify", "domain.claim"]);
  });

  test.each([
    [{ domain: "acme.platform.test" }, "invalid_domain"],
    [{ domain: "admin.platform.test" }, "invalid_domain"],
    [{ domain: "127.0.0.1" }, "invalid_domain"],
    [{ domain: "" }, "invalid_body"],
    [{}, "invalid_body"],
  ])("%j is refused", async (body, code) => {
    expect(codeOf(await running.cp("POST", at("acme"), body))).toEqual([400, code]);
  });

  test("limits are set, merged and taken away without the worker's doing", async () => {
    const update = async (limits: object) => {
      const { status, body } = await running.cp("PATCH", "/tenants/acme", { limits });
      return [status, body["limits"]];
    };
    expect(await update({ requestsPerSecond: 5, bodyBytes: 100 })).toEqual([
      200,
      { requestsPerSecond: 5, bodyBytes: 100 },
    ]);
    expect(await update({ bodyBytes: null, concurrentRequests: 2 })).toEqual([
      200,
      { requestsPerSecond: 5, concurrentRequests: 2 },
    ]);
    const route = await running.gateway.call("POST", "/v1/routes/find", routeSchema, { slug: "acme" });
    expect(route.limits).toEqual({ requestsPerSecond: 5, concurrentRequests: 2 });
    expect((await update({ requestsPerSecond: -1 }))[0]).toBe(400);
    expect((await update({ requests: 1 }))[0]).toBe(400);
    expect(await update({ requestsPerSecond: null, concurrentRequests: null })).toEqual([200, undefined]);
  });
});
