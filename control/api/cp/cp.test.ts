import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { z } from "zod";
import { limits } from "../../../shared/limits.ts";
import { tenantViewSchema, workerViewSchema } from "../../../shared/protocol/cp.ts";
import { verifyGrant } from "../../../shared/protocol/grant.ts";
import { sha256Hex } from "../../../shared/protocol/mac.ts";
import { verifyTicket } from "../../../shared/protocol/ticket.ts";
import {
  type TestControl,
  type TestWorker,
  startTestControl,
  startTestWorker,
} from "../../control-fixture.ts";
import { addToken } from "../../domain/operator-tokens.ts";
import { PREFIXES } from "../../domain/keys.ts";
import type { AuditRecord } from "../../domain/records.ts";

let running: TestControl;
beforeAll(async () => {
  running = await startTestControl();
});
afterAll(() => running.remove());

const errorSchema = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    details: z.object({ fields: z.record(z.string(), z.string()).optional() }).optional(),
  }),
});

async function failing(
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
): Promise<[number, string, string[]]> {
  const answer = await running.cp(method, path, body, headers);
  const { error } = errorSchema.parse(answer.body);
  return [answer.status, error.code, Object.keys(error.details?.fields ?? {})];
}

async function audit(): Promise<AuditRecord[]> {
  const { kvs } = await running.store.range(PREFIXES.audit);
  return kvs.map(({ value }) => value as AuditRecord);
}

describe("who may call", () => {
  const tokens: [string, string | undefined][] = [
    ["none", undefined],
    ["of another scheme", "Basic abc"],
    ["malformed", "Bearer mbo_short"],
    ["unknown", `Bearer mbo_${"x".repeat(40)}`],
  ];
  test.each(tokens)("token %s: 401", async (_, authorization) => {
    const headers = { authorization: authorization ?? "" };
    expect(await failing("GET", "/tenants", undefined, headers)).toEqual([401, "unauthorized", []]);
  });

  test("a token may do what its scopes say; only its hash is kept", async () => {
    const { runner } = running.control;
    const token = `mbo_${"r".repeat(40)}`;
    const command = { meta: runner.meta("test"), sha256: sha256Hex(token), name: "reader" };
    await runner.run((view) => addToken(view, { ...command, scopes: ["read"] }));
    const headers = { authorization: `Bearer ${token}` };
    expect((await running.cp("GET", "/health", undefined, headers)).status).toBe(200);
    expect((await failing("POST", "/tenants", { slug: "x" }, headers)).slice(0, 2)).toEqual([
      403,
      "forbidden",
    ]);
    const everything = JSON.stringify((await running.store.range("")).kvs);
    expect(everything).not.toContain("rrrrrrrr");
  });
});

describe("tenants", () => {
  test("create, get, and the audit entry of the same transaction", async () => {
    const made = await running.cp("POST", "/tenants", { slug: "Acme" });
    expect(made.status).toBe(201);
    const view = tenantViewSchema.parse(made.body);
    expect(view).toMatchObject({ slug: "acme", state: "created", epoch: 0, durability: "durable" });
    expect((await running.cp("GET", "/tenants/acme")).body).toEqual(made.body);
    const entry = (await audit()).find((one) => one.subject === view.id);
    expect(entry).toMatchObject({ who: "operator:given at start", action: "tenant.create" });
  });

  const bad: [string, unknown, number, string, string[]][] = [
    ["no slug", {}, 400, "invalid_body", ["slug"]],
    ["a bad slug", { slug: "-a" }, 400, "invalid_body", ["slug"]],
    ["a reserved slug", { slug: "admin" }, 400, "invalid_body", ["slug"]],
    ["two bad fields", { slug: "", durability: "maybe" }, 400, "invalid_body", ["slug", "durability"]],
    ["not an object", [], 400, "invalid_body", ["body"]],
    ["a slug in use", { slug: "taken" }, 409, "slug_taken", ["slug"]],
  ];
  test.each(bad)("create with %s", async (_, body, status, code, fields) => {
    await running.cp("POST", "/tenants", { slug: "taken" });
    expect(await failing("POST", "/tenants", body)).toEqual([status, code, fields]);
  });

  test("a body that is not JSON, and one that is too long", async () => {
    const send = (body: string): Promise<Response> =>
      fetch(`${running.url}/api/cp/tenants`, {
        method: "POST",
        headers: { authorization: `Bearer ${running.token}` },
        body,
      });
    expect((await send("{")).status).toBe(400);
    const long = await send(JSON.stringify({ slug: "x".repeat(limits.controlBodyBytesMax) }));
    expect(long.status).toBe(413);
    expect(errorSchema.parse(await long.json()).error.code).toBe("too_large");
  });

  test("an Idempotency-Key makes a create happen once, also when both calls run at once", async () => {
    const headers = { "idempotency-key": "k1" };
    const [a, b] = await Promise.all([
      running.cp("POST", "/tenants", { slug: "once" }, headers),
      running.cp("POST", "/tenants", { slug: "once" }, headers),
    ]);
    expect([a.status, b.status]).toEqual([201, 201]);
    expect(a.body).toEqual(b.body);
    const other = await failing("POST", "/tenants", { slug: "twice" }, headers);
    expect(other.slice(0, 2)).toEqual([422, "idempotency_mismatch"]);
    const long = { "idempotency-key": "k".repeat(limits.idempotencyKeyCharactersMax + 1) };
    expect((await failing("POST", "/tenants", { slug: "long" }, long))[0]).toBe(400);
  });

  test("of many who create one slug at once exactly one does", async () => {
    const all = await Promise.all(
      Array.from({ length: 20 }, () => running.cp("POST", "/tenants", { slug: "race" })),
    );
    const statuses = all.map((answer) => answer.status).toSorted((a, b) => a - b);
    expect(statuses).toEqual([201, ...Array.from({ length: 19 }, () => 409)]);
  });

  test("list pages by slug and searches slug and id", async () => {
    const slugs = ["list-a", "list-b", "list-c", "list-d"];
    for (const slug of slugs) await running.cp("POST", "/tenants", { slug });
    const listed: string[] = [];
    let after = "";
    do {
      const { body } = await running.cp("GET", `/tenants?search=LIST-&limit=3${after}`);
      const page = z.object({ tenants: z.array(tenantViewSchema), next: z.string().optional() }).parse(body);
      listed.push(...page.tenants.map((tenant) => tenant.slug as string));
      after = page.next === undefined ? "" : `&after=${page.next}`;
    } while (after !== "");
    expect(listed).toEqual(slugs);
    expect(await failing("GET", "/tenants?limit=0")).toEqual([400, "invalid_body", ["limit"]]);
  });

  const missing: [string, string][] = [
    ["GET", "/tenants/nobody"],
    ["GET", "/tenants/admin"],
    ["GET", "/tenants/%2e%2e%2f"],
    ["GET", "/nothing"],
    ["DELETE", "/tenants"],
  ];
  test.each(missing)("%s %s: 404 as JSON", async (method, path) => {
    expect((await failing(method, path))[0]).toBe(404);
  });
});

describe("on the tenant's worker", () => {
  let worker: TestWorker;
  beforeAll(async () => {
    await running.cp("POST", "/tenants", { slug: "host" });
    worker = await startTestWorker(running);
  });
  afterAll(() => worker.kill());

  test("a ticket is for one tenant and one action, for minutes, and audited", async () => {
    const { status, body } = await running.cp("POST", "/tenants/host/tickets", { action: "import" });
    expect(status).toBe(200);
    expect(body["path"]).toBe("/_manybase/import");
    const { memberKeys } = running.control;
    const ticket = verifyTicket(memberKeys, String(body["ticket"]), Date.now());
    const host = (await running.cp("GET", "/tenants/host")).body;
    expect(ticket).toMatchObject({ tenant: host["id"], action: "import" });
    expect(verifyTicket(memberKeys, String(body["ticket"]), Date.now() + limits.ticketMs)).toBeUndefined();
    expect((await audit()).some((one) => one.action === "ticket.create")).toBe(true);
    expect(JSON.stringify(await audit())).not.toContain(String(body["ticket"]));
    expect(await failing("POST", "/tenants/host/tickets", { action: "all" })).toEqual([
      400,
      "invalid_body",
      ["action"],
    ]);
  });

  test("a superuser is made by a granted call with a ticket; 421 gets a fresh route and one retry", async () => {
    const answers = [
      () => new Response("{}", { status: 421 }),
      () => Response.json({ id: "u1", email: "a@b.co", created: true }),
    ];
    worker.answer = () => answers.shift()?.() ?? new Response(null, { status: 500 });
    worker.calls.length = 0;
    const made = await running.cp("POST", "/tenants/host/superusers", {
      email: "a@b.co",
      password: "12345678",
    });
    expect(made).toEqual({ status: 200, body: { id: "u1", email: "a@b.co", created: true } });
    expect(worker.calls).toHaveLength(2);
    const [call] = worker.calls;
    const { memberKeys } = running.control;
    const grant = call?.headers.get("x-manybase-grant") ?? null;
    expect(verifyGrant(memberKeys, grant, "POST", "/_manybase/superusers", Date.now())).toMatchObject({
      epoch: 1,
      incarnation: worker.incarnation,
    });
    const [, ticket = ""] = (call?.headers.get("authorization") ?? "").split("Ticket ");
    expect(verifyTicket(memberKeys, ticket, Date.now())).toMatchObject({ action: "superuser" });
    expect(call?.headers.get("x-forwarded-host")).toBe("host.localhost");
    const entry = (await audit()).find((one) => one.action === "superuser.upsert");
    expect(entry?.details).toEqual({ email: "a@b.co" });
    worker.answer = () => Response.json({ id: "u1", email: "a@b.co", created: false });
    const lost = { email: "a@b.co", password: "12345678", resetMfa: true };
    expect((await running.cp("POST", "/tenants/host/superusers", lost)).status).toBe(200);
    const entries = (await audit()).filter((one) => one.action === "superuser.upsert");
    expect(entries.map(({ details }) => details)).toContainEqual({ email: "a@b.co", resetMfa: true });
    expect(JSON.stringify(await audit())).not.toContain("12345678");
  });

  const refused: [string, Response, number, string][] = [
    [
      "its own error",
      Response.json({ error: { code: "tenant_loading", message: "m" } }, { status: 503 }),
      503,
      "tenant_loading",
    ],
    [
      "PocketBase's error",
      Response.json({ message: "Bad.", data: { email: { message: "m" } } }, { status: 400 }),
      400,
      "invalid_body",
    ],
    ["nonsense", new Response("?", { status: 200 }), 502, "worker_lost"],
    ["421 again and again", new Response("{}", { status: 421 }), 502, "worker_lost"],
  ];
  test.each(refused)("the worker answers %s", async (_, answer, status, code) => {
    worker.answer = () => answer.clone();
    const body = { email: "a@b.co", password: "12345678" };
    expect((await failing("POST", "/tenants/host/superusers", body)).slice(0, 2)).toEqual([status, code]);
  });

  test("bad email and password are told by field, before anything happens", async () => {
    const body = { email: "nobody", password: "short" };
    expect(await failing("POST", "/tenants/host/superusers", body)).toEqual([
      400,
      "invalid_body",
      ["email", "password"],
    ]);
  });

  test("workers are listed with tenants and the time since the last beat", async () => {
    const { body } = await running.cp("GET", "/workers");
    const [view] = z.object({ workers: z.array(workerViewSchema) }).parse(body).workers;
    expect(view).toMatchObject({ incarnation: worker.incarnation, state: "live", tenants: 1 });
    expect(view?.lastBeatMs).toBeLessThan(limits.leaseMs);
  });
});
