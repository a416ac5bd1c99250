import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { eventually, killAll } from "../e2e/process.ts";
import {
  FakeControl,
  type FakeWorker,
  type GatewayProcess,
  PROCESSES,
  removeData,
  startGateway,
  startWorker,
} from "./platform.ts";
import { exchangeRaw, statusOf } from "./raw.ts";

let control: FakeControl;
let worker: FakeWorker;
let release: () => void = () => undefined;

beforeAll(() => {
  worker = startWorker(1, async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/fail") return new Response("x", { status: 500 });
    if (pathname === "/wait") await new Promise<void>((resolve) => (release = resolve));
    await request.arrayBuffer();
    return Response.json(Object.fromEntries(request.headers));
  });
  control = new FakeControl();
  control.set("acme", worker);
  control.set("other", worker);
  control.set("xn--bcher-kva", worker);
  control.set("shut", worker, { suspended: true });
  control.set("cold", undefined, { state: "archived" });
  control.set("thawing", undefined, { state: "archived", thawing: true });
  control.set("asleep", undefined, { state: "archived" });
  // What control does when it may: the first question starts the thaw.
  control.onResolve = ({ slug }) => {
    if (slug === "asleep") control.set(slug, undefined, { state: "archived", thawing: true });
  };
});

afterAll(async () => {
  await killAll();
  await worker.stop();
  await control.stop();
  removeData();
});

describe.each(PROCESSES)("at the edge on %s", (runtime) => {
  let gateway: GatewayProcess;
  let metricsUrl: string;
  beforeAll(async () => {
    gateway = await startGateway(runtime, control.url, [
      "--metrics=127.0.0.1:0",
      "--access-log=all",
      "--allow-tenant-header",
      "--tenant-rate=20",
      "--tenant-requests=1",
      "--body-bytes=2000000",
    ]);
    metricsUrl = `${await gateway.process.line("gateway metrics on ")}/metrics`;
  });
  afterAll(() => gateway.process.kill("SIGKILL"));

  test("request id and trace go through, or are made", async () => {
    const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const ours = await fetch(gateway.url("acme"), {
      headers: { "x-request-id": "abc.1", traceparent: trace, tracestate: "a=b" },
    });
    expect(ours.headers.get("x-request-id")).toBe("abc.1");
    expect(await ours.json()).toMatchObject({
      "x-request-id": "abc.1",
      traceparent: trace,
      tracestate: "a=b",
    });
    const ids = [1, 2].map(async () => {
      const answer = await fetch(gateway.url("acme"), { headers: { traceparent: trace } });
      return answer.headers.get("x-request-id");
    });
    expect(new Set(await Promise.all(ids)).size).toBe(2);
    const made = await fetch(gateway.url("acme"), {
      headers: { "x-request-id": 'bad "id"', traceparent: "00-bad", tracestate: "a=b" },
    });
    const seen = (await made.json()) as Record<string, string>;
    expect(seen["x-request-id"]).toMatch(/^[0-9a-f]{32}$/);
    expect(made.headers.get("x-request-id")).toBe(seen["x-request-id"] ?? "");
    expect(seen["traceparent"]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    expect(seen).not.toHaveProperty("tracestate");
  });

  test("the access log is JSON lines without queries", async () => {
    await fetch(gateway.url("acme", "/fail?token=secret"), { headers: { "x-request-id": "line-1" } });
    const line = await eventually(() => {
      const found = gateway.process
        .errors()
        .split("\n")
        .find((text) => text.includes("line-1"));
      expect(found).toBeDefined();
      return found ?? "";
    });
    expect(JSON.parse(line)).toMatchObject({
      kind: "access",
      method: "GET",
      path: "/fail",
      status: 500,
      tenant: "acme",
      worker: 1,
      client: "127.0.0.1",
    });
    expect(gateway.process.errors()).not.toContain("secret");
  });

  test("metrics are at a private address", async () => {
    const text = await eventually(async () => {
      const now = await (await fetch(metricsUrl)).text();
      expect(now).toContain("manybase_gateway_following 1");
      return now;
    });
    expect(text).toMatch(/manybase_gateway_requests_total\{kind="tenant",method="GET",status="500"\} [1-9]/);
    expect(text).toMatch(/manybase_gateway_upstream_seconds_count [1-9]/);
    expect(text).toMatch(/manybase_gateway_route_lookups_total\{known="true"\} [1-9]/);
    expect(text).toMatch(/manybase_gateway_routes 7/);
    expect(await (await fetch(`http://localhost:${gateway.port}/metrics`)).text()).not.toContain("_total");
  });

  test("an application's rate is bounded, and says so", async () => {
    const answers = await Promise.all(Array.from({ length: 60 }, () => fetch(gateway.url("other"))));
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(5);
    const [one] = refused;
    expect(one?.headers.get("retry-after")).toBe("1");
    expect(one?.headers.get("ratelimit-limit")).toBe("40");
    expect(one?.headers.get("ratelimit-remaining")).toBe("0");
    expect(await one?.json()).toMatchObject({ error: { code: "rate_limited" } });
    const served = answers.find(({ status }) => status === 200);
    expect(Number(served?.headers.get("ratelimit-remaining"))).toBeGreaterThanOrEqual(0);
    const page = await fetch(gateway.url("other"), { headers: { accept: "text/html" } });
    if (page.status === 429) expect(await page.text()).toContain("Too many requests");
    expect((await fetch(gateway.url("acme"))).status).toBe(200);
  });

  test("requests beyond an application's turns wait, and others do not", async () => {
    await Bun.sleep(500);
    const first = fetch(gateway.url("other", "/wait"));
    await eventually(() => expect(worker.seen).toContain("GET /wait"));
    let done = false;
    const second = fetch(gateway.url("other")).then(({ status }) => {
      done = true;
      return status;
    });
    expect((await fetch(gateway.url("acme"))).status).toBe(200);
    expect(done).toBe(false);
    release();
    expect([(await first).status, await second]).toEqual([200, 200]);
    worker.seen.length = 0;
  });

  test("a body over the bound is refused, with and without a length", async () => {
    const known = await fetch(gateway.url("acme"), { method: "POST", body: new Uint8Array(2_000_001) });
    expect(known.status).toBe(413);
    const parts = Array.from({ length: 30 }, () => new Uint8Array(100_000));
    const unknown = await fetch(gateway.url("acme"), {
      method: "POST",
      body: new ReadableStream({ pull: (c) => (parts.length > 0 ? c.enqueue(parts.pop()) : c.close()) }),
    }).catch(() => undefined);
    if (unknown !== undefined) expect(unknown.status).toBe(413);
    expect((await fetch(gateway.url("acme"))).status).toBe(200);
  });

  test("x-tenant-id names the application where the host does not", async () => {
    const ask = async (host: string, id: string) => {
      const text = `GET /t HTTP/1.1\r\nHost: ${host}\r\nX-Tenant-Id: ${id}\r\n\r\n`;
      return exchangeRaw(gateway.port, text, /\}\s*(?:0\r\n\r\n)?$|<\/html>/);
    };
    for (const id of ["acme", "acme00000000000"]) {
      expect(await ask("api.example.org", id)).toContain('"x-forwarded-host":"api.example.org"');
    }
    expect(statusOf(await ask("localhost", "nobody"))).toBe(404);
    // The host wins: this is the suspended one, whatever the header says.
    expect(statusOf(await ask("shut.localhost", "acme"))).toBe(403);
  });

  test("a Unicode host is its punycode", async () => {
    for (const host of ["xn--bcher-kva.localhost", "bücher.localhost", "BÜCHER.localhost"]) {
      const text = await exchangeRaw(gateway.port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      expect([host, statusOf(text)]).toEqual([host, 200]);
    }
  });

  test.each([
    ["shut", 403, "This application is suspended"],
    ["cold", 503, "Cannot serve cold: it is in the archive"],
    ["asleep", 503, "is being fetched from the archive"],
    ["thawing", 503, "is being fetched from the archive"],
    ["nobody", 404, "There is nothing here"],
  ])("%s has a page of its own", async (name, status, title) => {
    const answer = await fetch(gateway.url(name), { headers: { accept: "text/html" } });
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toStartWith("text/html");
    expect(await answer.text()).toContain(title);
    const json = await fetch(gateway.url(name));
    expect(json.headers.get("content-type")).toStartWith("application/json");
    expect(json.headers.get("retry-after")).toBe(name === "thawing" || name === "asleep" ? "60" : null);
  });

  test("control is asked once for an archived tenant, whatever it answers", async () => {
    for (const name of ["cold", "asleep"]) {
      const slug = `${name}-${runtime}`;
      control.set(slug, undefined, { state: "archived" });
      await eventually(async () => expect((await fetch(gateway.url(slug))).status).toBe(503));
      if (name === "asleep") control.set(slug, undefined, { state: "archived", thawing: true });
      const before = control.resolves;
      const answers = await Promise.all(Array.from({ length: 10 }, () => fetch(gateway.url(slug))));
      expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 503));
      expect(control.resolves).toBe(before);
      control.remove(slug);
    }
  });
});
