import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { z } from "zod";
import { limits } from "../../../shared/limits.ts";
import {
  type Route,
  assignmentSchema,
  routeSchema,
  routeSnapshotSchema,
} from "../../../shared/protocol/internal.ts";
import { InternalClient } from "../../../shared/protocol/internal-client.ts";
import { parseKeyring } from "../../../shared/protocol/keys.ts";
import { signCall } from "../../../shared/protocol/signature.ts";
import {
  type TestControl,
  type TestWorker,
  startTestControl,
  startTestWorker,
} from "../../control-fixture.ts";

let running: TestControl;
let worker: TestWorker;
beforeAll(async () => {
  running = await startTestControl();
  worker = await startTestWorker(running);
});
afterAll(async () => {
  await worker.kill();
  await running.remove();
});

const create = async (slug: string): Promise<void> => {
  expect((await running.cp("POST", "/tenants", { slug })).status).toBe(201);
};
const resolve = (slug: string): Promise<Route> =>
  running.gateway.call("POST", "/v1/routes/resolve", routeSchema, { slug });
const report = (reports: unknown[]): Promise<unknown> =>
  running.member.call("POST", `/v1/workers/${worker.incarnation}/reports`, z.object({}), { reports });

describe("who may call", () => {
  const paths: [string, "GET" | "POST", boolean][] = [
    ["/v1/routes", "GET", true],
    ["/v1/routes/resolve", "POST", true],
    ["/v1/workers", "POST", false],
    ["/v1/workers/65536/beats", "POST", false],
    ["/v1/workers/65536/reports", "POST", false],
    ["/v1/workers/65536/exit", "POST", false],
    ["/v1/workers/65536/assignments/aaaaaaaaaaaaaaa", "GET", false],
  ];
  test.each(paths)("%s: unsigned never; the gateway's key only for routes", async (path, method, allowed) => {
    const body = method === "POST" ? "{}" : undefined;
    const unsigned = await fetch(running.url + path, { method, ...(body === undefined ? {} : { body }) });
    expect(unsigned.status).toBe(401);
    const stranger = new InternalClient({
      url: running.url,
      keys: parseKeyring(`gateway-1:${"A".repeat(43)}`, "test"),
      timeoutMs: 2_000,
    });
    await expect(stranger.call(method, path, z.unknown(), body && {})).rejects.toMatchObject({
      code: "unauthorized",
    });
    const call = running.gateway.call(method, path, z.unknown(), body && {});
    const code = await call.then(
      () => "none",
      (error: unknown) => (error as { code: string }).code,
    );
    expect(code === "forbidden").toBe(!allowed);
  });

  test("a signature covers the body and is no use later", async () => {
    const path = "/v1/routes/resolve";
    const sign = (body: string, nowMs: number): string =>
      signCall(running.control.gatewayKeys, "POST", path, new TextEncoder().encode(body), nowMs);
    const send = async (body: string, signature: string): Promise<number> =>
      (
        await fetch(running.url + path, {
          method: "POST",
          headers: { "x-manybase-signature": signature },
          body,
        })
      ).status;
    const body = JSON.stringify({ slug: "nobody" });
    expect(await send(body, sign(body, Date.now()))).toBe(404);
    expect(await send(body, sign(`${body} `, Date.now()))).toBe(401);
    expect(await send(body, sign(body, Date.now() - limits.clockSkewMsMax - 1_000))).toBe(401);
  });

  test("health needs no signature", async () => {
    expect(await (await fetch(`${running.url}/v1/health`)).json()).toEqual({ ok: true });
  });

  test("a path that is not there", async () => {
    expect((await fetch(`${running.url}/v2/x`)).status).toBe(404);
  });
});

describe("resolve and assignments", () => {
  test("the first request assigns, all others agree", async () => {
    await create("acme");
    const routes = await Promise.all(Array.from({ length: 50 }, () => resolve("acme")));
    for (const route of routes) {
      expect(route).toMatchObject({ epoch: 1, worker: { incarnation: worker.incarnation, url: worker.url } });
    }
  });

  test("an unknown slug", async () => {
    await expect(resolve("nobody")).rejects.toMatchObject({ code: "tenant_not_found", status: 404 });
  });

  test("the owner gets its assignment, nobody else does", async () => {
    await create("mine");
    const { tenant } = await resolve("mine");
    const ask = (incarnation: number, id: string): Promise<unknown> =>
      running.member.call("GET", `/v1/workers/${incarnation}/assignments/${id}`, assignmentSchema);
    expect(await ask(worker.incarnation, tenant)).toMatchObject({ tenant, epoch: 1, virgin: true });
    await expect(ask(7, tenant)).rejects.toMatchObject({ code: "not_owner" });
    await expect(ask(7, "x".repeat(15))).rejects.toMatchObject({ code: "tenant_not_found" });
    await expect(ask(7, "A%2f..")).rejects.toMatchObject({ code: "invalid_tenant_id" });
  });

  test("a serving report makes it active; more reports than one transaction holds are all applied", async () => {
    const slugs = Array.from({ length: limits.tenantsPerTxn + 5 }, (_, i) => `many-${i}`);
    await Promise.all(slugs.map(create));
    const routes = await Promise.all(slugs.map(resolve));
    await report(routes.map(({ tenant, epoch }) => ({ tenant, epoch, kind: "serving" })));
    const states = await Promise.all(slugs.map(async (slug) => (await resolve(slug)).state));
    expect(new Set(states)).toEqual(new Set(["active"]));
  });
});

describe("the stream of routes", () => {
  interface Event {
    id: number;
    event: string;
    data: unknown;
  }

  async function* events(from: number, signal: AbortSignal): AsyncGenerator<Event> {
    const response = await running.gateway.open("GET", `/v1/routes/stream?from=${from}`, undefined, signal);
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of response.body as ReadableStream<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const field = (name: string): string =>
          block
            .split("\n")
            .find((line) => line.startsWith(`${name}: `))
            ?.slice(name.length + 2) ?? "";
        yield { id: Number(field("id")), event: field("event"), data: JSON.parse(field("data")) as unknown };
      }
    }
  }

  test("snapshot, then every change after it, in order", async () => {
    await create("stream-a");
    const snapshot = await running.gateway.call("GET", "/v1/routes", routeSnapshotSchema);
    expect(snapshot.routes.map((route) => route.slug as string)).toContain("stream-a");
    await create("stream-b");
    const heard: Event[] = [];
    for await (const event of events(snapshot.revision, AbortSignal.timeout(5_000))) {
      if (event.event !== "routes") continue;
      heard.push(event);
      if (heard.length === 1) await resolve("stream-b");
      if (heard.length === 2) break;
    }
    expect(heard[0]?.data).toMatchObject([{ slug: "stream-b", epoch: 0 }]);
    expect(heard[1]?.data).toMatchObject([{ slug: "stream-b", epoch: 1, worker: { url: worker.url } }]);
    expect(heard[1]!.id).toBeGreaterThan(heard[0]!.id);
  });

  test("tells progress to a reader who is up to date", async () => {
    const revision = running.control.table.revision;
    for await (const event of events(revision, AbortSignal.timeout(5_000))) {
      expect(event).toEqual({ id: revision, event: "progress", data: {} });
      break;
    }
  });

  test("410 for a past that is not kept and for a future that never was", async () => {
    await running.stop();
    running = await startTestControl(running.directory);
    const { revision } = running.control.table;
    for (const from of [0, revision + 1_000]) {
      const path = `/v1/routes/stream?from=${from}`;
      const signature = signCall(running.control.gatewayKeys, "GET", path, new Uint8Array(), Date.now());
      const response = await fetch(running.url + path, { headers: { "x-manybase-signature": signature } });
      expect(response.status).toBe(410);
      expect(await response.json()).toMatchObject({ error: { code: "revision_compacted" } });
    }
    await worker.kill();
    worker = await startTestWorker(running, { replaces: worker.incarnation });
  });
});

describe("a clean exit", () => {
  test("releases what it names, and its beats are told that it is over", async () => {
    const leaving = await startTestWorker(running);
    await worker.beat(true); // the other one drains: all new tenants go to this one
    await create("leaving");
    const { tenant, epoch, worker: owner } = await resolve("leaving");
    expect(owner?.incarnation).toBe(leaving.incarnation);
    const base = { "data.db": { txid: 4, entryHash: "h" } };
    await running.member.call("POST", `/v1/workers/${leaving.incarnation}/exit`, z.object({}), {
      endSeq: 5,
      released: [{ tenant, epoch, base }],
    });
    expect(await leaving.beat()).toBe("dead");
    await leaving.kill();
    expect((await running.cp("GET", "/tenants/leaving")).body).toMatchObject({ state: "evicted", epoch: 1 });
    await expect(resolve("leaving")).rejects.toMatchObject({ code: "no_worker", status: 503 });
    const next = await startTestWorker(running);
    const route = await resolve("leaving");
    const given = await running.member.call(
      "GET",
      `/v1/workers/${next.incarnation}/assignments/${tenant}`,
      assignmentSchema,
    );
    expect(route.epoch).toBe(2);
    expect(given as unknown).toMatchObject({ base, tails: [], virgin: false });
    await next.kill();
  });
});
