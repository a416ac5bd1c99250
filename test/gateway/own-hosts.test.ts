import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { limits } from "../../shared/limits.ts";
import { eventually, killAll } from "../e2e/process.ts";
import {
  FakeControl,
  type FakeWorker,
  type GatewayProcess,
  PROCESSES,
  RUNTIMES,
  makeData,
  removeData,
  startGateway,
  startWorker,
} from "./platform.ts";
import { exchangeRaw, statusOf } from "./raw.ts";

let control: FakeControl;
let worker: FakeWorker;

beforeAll(() => {
  worker = startWorker(1, async (request) => {
    const body = (await request.arrayBuffer()).byteLength;
    return Response.json({ ...Object.fromEntries(request.headers), body });
  });
  control = new FakeControl();
  control.set("acme", worker, { domains: ["shop.example.org", "xn--bcher-kva.example"] });
  control.set("plain", worker);
  control.set("shut", worker, { suspended: true });
  control.set("gone", undefined, { state: "deleted" });
});

afterAll(async () => {
  await killAll();
  await worker.stop();
  await control.stop();
  removeData();
});

const ask = (gateway: GatewayProcess, host: string, path = "/", ...lines: string[]): Promise<string> =>
  exchangeRaw(
    gateway.port,
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`,
    /\}\s*(?:0\r\n\r\n)?$|<\/html>|ok\n/,
    2_000,
  );

describe.each(RUNTIMES)("hosts of a tenant's own on %s", (runtime) => {
  let gateway: GatewayProcess;
  beforeAll(async () => {
    gateway = await startGateway(runtime, control.url);
    await eventually(async () => expect((await fetch(gateway.url("acme"))).status).toBe(200));
  });
  afterAll(() => gateway.process.kill("SIGKILL"));

  test("reach their tenant, whatever their case, port, ending dot or script", async () => {
    // workerd takes no host that is not ASCII.
    const script = runtime === "workers" ? "xn--bcher-kva.example" : "bücher.example";
    for (const host of ["shop.example.org", "SHOP.Example.org.:8080", script]) {
      const answer = await ask(gateway, host);
      expect([host, statusOf(answer)]).toEqual([host, 200]);
      expect(answer).toContain(`"x-forwarded-host":"${host.startsWith("b") ? "" : host}`);
    }
  });

  test("a stranger's host is 404, and costs control nothing where the stream is followed", async () => {
    const before = control.finds;
    for (let i = 0; i < 20; i++) expect(statusOf(await ask(gateway, `s${i}.example.net`))).toBe(404);
    if (runtime !== "workers") expect(control.finds).toBe(before);
  });

  test("a new host serves at once, one that was taken away does not", async () => {
    const host = `new-${runtime}.example.org`;
    expect(statusOf(await ask(gateway, host))).toBe(404);
    control.set("plain", worker, { domains: [host] });
    const waitMs = runtime === "workers" ? limits.routeLifeMs + 2_000 : 1_000;
    await eventually(async () => expect(statusOf(await ask(gateway, host))).toBe(200), waitMs);
    control.set("plain", worker);
    await eventually(async () => expect(statusOf(await ask(gateway, host))).toBe(404), waitMs);
  }, 20_000);

  test.each([
    ["acme.localhost", 200],
    ["ACME.localhost", 200],
    ["admin.localhost", 200],
    ["app.localhost", 200],
    ["shop.example.org", 200],
    ["nobody.localhost", 404],
    ["gone.localhost", 404],
    ["www.localhost", 404],
    ["a.acme.localhost", 400],
    ["localhost", 404],
    ["evil.example", 404],
    ["127.0.0.1", 404],
    ["acme.localhost:443", 400],
    ["acme.localhost%0d%0aX:%20y", 400],
    ["", 400],
  ])("tls-ask for %j is %d", async (domain, status) => {
    const path = `/_manybase/tls-ask?domain=${domain}`;
    expect(statusOf(await ask(gateway, `127.0.0.1:${gateway.port}`, path))).toBe(status);
    expect(statusOf(await ask(gateway, "gateway.internal", path))).toBe(status);
  });

  test("tls-ask is no path of a tenant", async () => {
    const answer = await ask(gateway, "acme.localhost", "/_manybase/tls-ask?domain=acme.localhost");
    expect(answer).toContain('"x-forwarded-host"');
  });
});

describe.each(PROCESSES)("a tenant's own limits on %s", (runtime) => {
  let gateway: GatewayProcess;
  beforeAll(async () => {
    control.set("small", worker, { limits: { requestsPerSecond: 5, bodyBytes: 10, concurrentRequests: 1 } });
    gateway = await startGateway(runtime, control.url, ["--tenant-rate=0"]);
    await eventually(async () => expect((await fetch(gateway.url("small"))).status).toBe(200));
  });
  afterAll(() => gateway.process.kill("SIGKILL"));

  test("bound its body and its rate, and nobody else's", async () => {
    const post = (name: string, bytes: number) =>
      fetch(gateway.url(name), { method: "POST", body: new Uint8Array(bytes) });
    expect((await post("small", 11)).status).toBe(413);
    expect((await post("small", 10)).status).toBe(200);
    expect((await post("plain", 1_000)).status).toBe(200);
    const answers = await Promise.all(Array.from({ length: 30 }, () => fetch(gateway.url("small"))));
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(15);
    expect(refused[0]?.headers.get("ratelimit-limit")).toBe("10");
    expect(refused[0]?.headers.get("retry-after")).toBe("1");
    const others = await Promise.all(Array.from({ length: 30 }, () => fetch(gateway.url("plain"))));
    expect(others.every(({ status, headers }) => status === 200 && !headers.has("ratelimit-limit"))).toBe(
      true,
    );
  });

  test("change while the gateway runs", async () => {
    control.set("small", worker);
    await eventually(async () => {
      const answers = await Promise.all(Array.from({ length: 30 }, () => fetch(gateway.url("small"))));
      expect(answers.every(({ status }) => status === 200)).toBe(true);
    });
  });
});

describe.each(PROCESSES)("behind a proxy on %s", (runtime) => {
  const spoofed = ["X-Forwarded-For: 6.6.6.6, 192.0.2.7", "X-Forwarded-Proto: https", "X-Real-Ip: 6.6.6.6"];
  test("its word counts only when it is trusted", async () => {
    const trusting = await startGateway(runtime, control.url, ["--trusted-proxies=127.0.0.0/8,::1"]);
    const plain = await startGateway(runtime, control.url);
    const believed = await ask(trusting, "acme.localhost", "/", ...spoofed);
    expect(believed).toContain('"x-forwarded-for":"192.0.2.7"');
    expect(believed).toContain('"x-real-ip":"192.0.2.7"');
    expect(believed).toContain('"x-forwarded-proto":"https"');
    const not = await ask(plain, "acme.localhost", "/", ...spoofed);
    expect(not).toContain('"x-forwarded-for":"127.0.0.1"');
    expect(not).toContain('"x-real-ip":"127.0.0.1"');
    expect(not).toContain('"x-forwarded-proto":"http"');
    for (const { process } of [trusting, plain]) process.kill("SIGKILL");
  });
});

describe.each(PROCESSES)("dashboards on %s", (runtime) => {
  test("are served from a folder, with our page for those that are not there", async () => {
    const data = makeData();
    const folder = join(data, "dashboards");
    for (const [path, text] of [
      ["operators/index.html", "<html>operators</html>"],
      ["operators/assets/index-BfX3k2aB.js", "plain"],
      ["operators/assets/index-BfX3k2aB.js.br", "coded"],
      ["tenant/index.html", "<html>tenant</html>"],
    ] as const) {
      mkdirSync(join(folder, path, ".."), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    const gateway = await startGateway(runtime, control.url, [`--dashboards=${folder}`], data);
    await eventually(async () => expect((await fetch(gateway.url("acme"))).status).toBe(200));
    expect(await ask(gateway, "admin.localhost", "/tenants/acme")).toContain("<html>operators</html>");
    expect(await ask(gateway, "acme.localhost", "/_/")).toContain("<html>tenant</html>");
    expect(statusOf(await ask(gateway, "nobody.localhost", "/_/"))).toBe(404);
    expect(statusOf(await ask(gateway, "shut.localhost", "/_/"))).toBe(403);
    expect(await ask(gateway, "app.localhost")).toContain("is not part of this release yet");
    const script = await fetch(gateway.url("admin", "/assets/index-BfX3k2aB.js"), {
      headers: { "accept-encoding": "br" },
      decompress: false,
    });
    expect(script.headers.get("content-encoding")).toBe("br");
    expect(script.headers.get("cache-control")).toContain("immutable");
    const etag = script.headers.get("etag") ?? "";
    const again = await fetch(gateway.url("admin", "/assets/index-BfX3k2aB.js"), {
      headers: { "accept-encoding": "br", "if-none-match": etag },
    });
    expect(again.status).toBe(304);
    for (const path of [
      "/..%2f..%2fkeys/gateway.key",
      "/%2e%2e/keys/gateway.key",
      "/assets/..%5c..%5cx.key",
    ]) {
      const answer = await ask(gateway, "admin.localhost", path);
      expect([path, statusOf(answer)]).toEqual([path, 404]);
    }
    gateway.process.kill("SIGKILL");
  });
});

test("dashboards on workers come by the binding", async () => {
  const data = makeData();
  const folder = join(data, "dashboards");
  mkdirSync(join(folder, "operators"), { recursive: true });
  writeFileSync(join(folder, "operators/index.html"), "<html>operators</html>");
  writeFileSync(join(folder, "secret.txt"), "secret");
  const gateway = await startGateway("workers", control.url, [`--dashboards=${folder}`], data);
  const page = await ask(gateway, "admin.localhost", "/tenants");
  expect(page).toContain("<html>operators</html>");
  expect(page.toLowerCase()).toContain("content-security-policy: default-src 'self'");
  expect(await ask(gateway, "app.localhost")).toContain("is not part of this release yet");
  for (const path of ["/missing.js", "/..%2fsecret.txt", "/%2e%2e/secret.txt"]) {
    expect([path, statusOf(await ask(gateway, "admin.localhost", path))]).toEqual([path, 404]);
  }
  gateway.process.kill("SIGKILL");
});
