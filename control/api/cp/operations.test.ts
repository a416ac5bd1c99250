import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { z } from "zod";
import { auditEntrySchema, newTokenSchema, tenantViewSchema } from "../../../shared/protocol/cp.ts";
import { routeSchema } from "../../../shared/protocol/internal.ts";
import {
  type TestControl,
  type TestWorker,
  startTestControl,
  startTestWorker,
} from "../../control-fixture.ts";
import { type Member, actAsMember } from "../../worker-fixture.ts";
import { OPERATIONS } from "./app.ts";

let running: TestControl;
let first: TestWorker;
let second: TestWorker;
let member: Member;
beforeAll(async () => {
  running = await startTestControl();
  first = await startTestWorker(running);
  member = actAsMember(first);
  await served("acme");
  second = await startTestWorker(running);
  actAsMember(second);
});
afterAll(async () => {
  await first.kill();
  await second.kill();
  await running.remove();
});

const errorSchema = z.object({
  error: z.object({
    code: z.string(),
    details: z.object({ fields: z.record(z.string(), z.string()) }).optional(),
  }),
});

async function served(slug: string): Promise<string> {
  await running.cp("POST", "/tenants", { slug });
  return (await running.gateway.call("POST", "/v1/routes/resolve", routeSchema, { slug })).tenant;
}

/** Status, code, and the fields that an error names. */
async function outcome(
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
): Promise<[number, string, ...string[]]> {
  const answer = await running.cp(method, path, body, headers);
  if (answer.status < 300) return [answer.status, ""];
  const { code, details } = errorSchema.parse(answer.body).error;
  return [answer.status, code, ...Object.keys(details?.fields ?? {})];
}

describe("a tenant's life", () => {
  test("moves, to a named worker or the emptiest other one", async () => {
    const moved = await running.cp("POST", "/tenants/acme/move", { worker: second.incarnation });
    expect(moved).toMatchObject({ status: 200, body: { worker: second.incarnation, epoch: 2 } });
    expect((await running.cp("POST", "/tenants/acme/move")).body["worker"]).toBe(first.incarnation);
  });

  test("an owner that does not release: 202, and `moving` until it does", async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    member.refuse = () => promise as Promise<never>;
    const controller = new AbortController();
    const call = fetch(`${running.url}/api/cp/tenants/acme/move`, {
      method: "POST",
      headers: { authorization: `Bearer ${running.token}` },
      signal: controller.signal,
    }).catch(() => undefined);
    await Bun.sleep(50);
    controller.abort();
    await call;
    const view = tenantViewSchema.parse((await running.cp("GET", "/tenants/acme")).body);
    expect(view.moving).toMatchObject({ to: second.incarnation, why: "move" });
    expect(await outcome("POST", "/tenants/acme/evict")).toEqual([409, "conflict"]);
    resolve(undefined);
    member.refuse = undefined;
    await Bun.sleep(50);
    const after = (await running.cp("GET", "/tenants/acme")).body;
    expect(after).toMatchObject({ worker: second.incarnation });
    expect(after).not.toHaveProperty("moving");
  });

  test("evict, suspend, resume, update, delete and recover", async () => {
    const id = await served("life");
    expect((await running.cp("POST", "/tenants/life/evict")).body).toMatchObject({ state: "evicted" });
    expect((await running.cp("POST", "/tenants/life/suspend")).body).toMatchObject({ suspended: true });
    const route = await running.gateway.call("POST", "/v1/routes/resolve", routeSchema, { slug: "life" });
    expect(route).toMatchObject({ suspended: true });
    expect(route).not.toHaveProperty("worker");
    expect((await running.cp("POST", "/tenants/life/resume")).body).toMatchObject({ suspended: false });
    const change = { slug: "renamed", durability: "async" };
    expect((await running.cp("PATCH", "/tenants/life", change)).body).toMatchObject({ id, ...change });
    expect(await outcome("GET", "/tenants/life")).toEqual([404, "tenant_not_found"]);
    const gone = await running.cp("DELETE", "/tenants/renamed?retainSeconds=60");
    expect(gone.body).toMatchObject({ state: "deleted", deleted: { purging: false } });
    expect((await running.cp("POST", "/tenants/renamed/recover")).body).toMatchObject({ state: "evicted" });
  });

  const bad: [string, string, unknown, unknown[]][] = [
    ["PATCH", "/tenants/acme", {}, [400, "invalid_body", "body"]],
    ["PATCH", "/tenants/acme", { slug: "-", durability: "x" }, [400, "invalid_body", "slug", "durability"]],
    ["PATCH", "/tenants/acme", { slug: "other" }, [409, "slug_taken", "slug"]],
    ["POST", "/tenants/acme/move", { worker: "x" }, [400, "invalid_body", "worker"]],
    ["POST", "/tenants/acme/move", { worker: 7 }, [409, "conflict"]],
    ["POST", "/tenants/acme/recover", undefined, [409, "conflict"]],
    ["POST", "/tenants/nobody/suspend", undefined, [404, "tenant_not_found"]],
    ["DELETE", "/tenants/acme?retainSeconds=-1", undefined, [400, "invalid_body", "retainSeconds"]],
    ["GET", "/workers/x", undefined, [404, "worker_not_found"]],
    ["POST", "/workers/7/drain", undefined, [404, "worker_not_found"]],
    ["DELETE", "/workers/7?force=maybe", undefined, [400, "invalid_body", "force"]],
    ["GET", "/audit?limit=0&before=x", undefined, [400, "invalid_body", "limit", "before"]],
  ];
  test.each(bad)("%s %s %j is refused by field", async (method, path, body, expected) => {
    await running.cp("POST", "/tenants", { slug: "other" });
    expect((await outcome(method, path, body)) as unknown[]).toEqual(expected);
  });
});

describe("workers", () => {
  test("a serving one is drained, not removed; one given up by force is", async () => {
    const third = await startTestWorker(running);
    actAsMember(third);
    const path = `/workers/${third.incarnation}`;
    expect(await outcome("DELETE", path)).toEqual([409, "conflict"]);
    const { body } = await running.cp("POST", `${path}/drain`);
    expect(body).toMatchObject({ state: "draining", tenants: 0 });
    expect(body["drain"]).toBeString();
    expect((await running.cp("DELETE", `${path}?force=true`)).body).toEqual({ removed: false });
    await third.kill();
    while ((await outcome("DELETE", path))[0] !== 200) await Bun.sleep(10);
    expect(await outcome("GET", path)).toEqual([404, "worker_not_found"]);
  });
});

describe("tokens", () => {
  test("are shown once, never with more scopes than their maker's, and invalid once revoked", async () => {
    const made = await running.cp("POST", "/tokens", { name: "ci", scopes: ["read", "write"] });
    expect(made.status).toBe(201);
    const { token, id } = newTokenSchema.parse(made.body);
    const headers = { authorization: `Bearer ${token}` };
    expect(await outcome("POST", "/tokens", { name: "more", scopes: ["tenant-admin"] }, headers)).toEqual([
      403,
      "forbidden",
    ]);
    expect(await outcome("POST", "/tokens", { name: "ci", scopes: ["read"] })).toEqual([
      409,
      "conflict",
      "name",
    ]);
    expect(await outcome("POST", "/tokens", { name: "", scopes: [] })).toEqual([
      400,
      "invalid_body",
      "name",
      "scopes",
    ]);
    const listed = await running.cp("GET", "/tokens");
    expect(JSON.stringify(listed.body)).toContain(id);
    const everything = JSON.stringify((await running.store.range("")).kvs);
    expect(everything).not.toContain(token);
    expect(await outcome("DELETE", `/tokens/${id}`)).toEqual([200, ""]);
    expect(await outcome("GET", "/tenants", undefined, headers)).toEqual([401, "unauthorized"]);
    expect(await outcome("DELETE", `/tokens/${id}`)).toEqual([404, "not_found"]);
  });

  test("the last one that may change anything stays", async () => {
    const { body } = await running.cp("GET", "/tokens");
    const [only] = z.object({ tokens: z.array(z.object({ id: z.string() })) }).parse(body).tokens;
    expect(await outcome("DELETE", `/tokens/${only?.id}`)).toEqual([409, "conflict"]);
  });

  test("a reader changes nothing", async () => {
    const made = await running.cp("POST", "/tokens", { name: "reader", scopes: ["read"] });
    const headers = { authorization: `Bearer ${newTokenSchema.parse(made.body).token}` };
    for (const { spec } of OPERATIONS) {
      const path = spec.path.replaceAll(/:\w+/g, "acme");
      const [status] = await outcome(spec.method, path, undefined, headers);
      if (spec.scope === "read") expect(status).not.toBe(403);
      else expect([spec.path, status]).toEqual([spec.path, 403]);
    }
  });
});

describe("what it tells of itself", () => {
  test("the audit log, newest first, page by page and filtered", async () => {
    const schema = z.object({ entries: z.array(auditEntrySchema), next: z.string().optional() });
    const page = async (path: string) => schema.parse((await running.cp("GET", path)).body);
    const all = (await page("/audit?limit=500")).entries;
    expect(all.length).toBeGreaterThan(10);
    expect(all.map(({ id }) => id)).toEqual(
      all
        .map(({ id }) => id)
        .toSorted()
        .toReversed(),
    );
    const paged: string[] = [];
    for (let before: string | undefined = ""; before !== undefined;) {
      const { entries, next }: z.infer<typeof schema> = await page(
        `/audit?limit=3${before === "" ? "" : `&before=${before}`}`,
      );
      paged.push(...entries.map(({ id }) => id));
      before = next;
    }
    expect(paged).toEqual(all.map(({ id }) => id));
    const { id } = tenantViewSchema.parse((await running.cp("GET", "/tenants/acme")).body);
    const moves = await page(`/audit?subject=${id}&action=tenant.move`);
    expect(moves.entries.length).toBeGreaterThanOrEqual(3);
    expect(moves.entries.every(({ action }) => action === "tenant.move")).toBe(true);
  });

  test("health and metrics", async () => {
    const { body } = await running.cp("GET", "/health");
    expect(body).toMatchObject({ status: "ok", leading: true, moving: 0 });
    expect(body["workers"]).toMatchObject({ live: 2 });
    const answer = await fetch(`${running.url}/api/cp/metrics`, {
      headers: { authorization: `Bearer ${running.token}` },
    });
    expect(answer.headers.get("content-type")).toStartWith("text/plain");
    const text = await answer.text();
    expect(text).toMatch(/^manybase_workers\{state="live"\} 2$/m);
    expect(text).toMatch(/^manybase_tenants\{state="\w+"\} \d+$/m);
    expect(text).toMatch(/^manybase_transfers_total\{why="move",result="done"\} [3-9]$/m);
    expect(text).toMatch(/^manybase_workers_wanted 1$/m);
    expect(text).toContain(`manybase_worker_tenants_owned{incarnation="${first.incarnation}"}`);
  });

  test("the members", async () => {
    const { body } = await running.cp("GET", "/members");
    expect(body).toMatchObject({ members: [{ role: "leader" }] });
  });

  test("an OpenAPI document with every operation, without a token", async () => {
    const document = (await (await fetch(`${running.url}/api/cp/openapi.json`)).json()) as {
      openapi: string;
      paths: Record<string, Record<string, { parameters?: { name: string }[]; requestBody?: unknown }>>;
    };
    expect(document.openapi).toBe("3.1.0");
    for (const { spec } of OPERATIONS) {
      const path = `/api/cp${spec.path.replaceAll(/:(\w+)/g, "{$1}")}`;
      expect(document.paths[path]).toHaveProperty(spec.method.toLowerCase());
    }
    const { post } = document.paths["/api/cp/tenants"] ?? {};
    expect(post?.parameters?.map(({ name }) => name)).toEqual(["idempotency-key"]);
    expect(JSON.stringify(post?.requestBody)).toContain('"slug":{"type":"string"');
    const ids = Object.values(document.paths).flatMap((path) =>
      Object.values(path).map((one) => (one as { operationId: string }).operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });
});
