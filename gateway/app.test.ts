import { beforeEach, describe, expect, test } from "bun:test";
import { errorResponse, SystemError, UserError } from "../shared/errors.ts";
import { verifyGrant } from "../shared/protocol/grant.ts";
import { HEADERS } from "../shared/protocol/headers.ts";
import { parseKeyring } from "../shared/protocol/keys.ts";
import { createGateway } from "./app.ts";
import { RouteSource } from "./routes/route-source.ts";
import { RouteTable } from "./routes/route-table.ts";

const keys = parseKeyring(`g1:${"A".repeat(44)}`, "the key of this test");
const TENANT = "t".repeat(15);
const A = "http://10.0.0.1:1";
const B = "http://10.0.0.2:1";

/** Control and workers as functions; what reached whom is in `calls`. */
let control: (body: { slug: string; failed?: object }) => Response;
let found: (body: { slug?: string; host?: string }) => Response;
let workers: Record<string, (request: Request) => Response | Promise<Response>>;
let calls: string[];
let gateway: ReturnType<typeof createGateway>;
let options: Parameters<typeof createGateway>[0];

const route = (url: string, incarnation: number, epoch: number, extra: object = {}) =>
  Response.json({
    tenant: TENANT,
    slug: "acme",
    state: "active",
    suspended: false,
    epoch,
    revision: epoch,
    worker: { incarnation, url },
    ...extra,
  });

beforeEach(() => {
  calls = [];
  control = () => route(A, 1, 1);
  found = () => errorResponse(new UserError("tenant_not_found", "Cannot find tenant"));
  workers = { [A]: () => new Response("from a"), [B]: () => new Response("from b") };
  const fake = (async (input: string, init: RequestInit) => {
    const request = new Request(input, init);
    const url = new URL(input);
    if (url.host === "control") {
      if (url.pathname === "/v1/routes/find") {
        calls.push("find");
        return found(JSON.parse(await request.text()));
      }
      if (url.pathname !== "/v1/routes/resolve") return new Response("operators' api");
      calls.push("resolve");
      return control(JSON.parse(await request.text()));
    }
    calls.push(`${request.method} ${input}`);
    const worker = workers[url.origin];
    if (worker === undefined) throw Object.assign(new Error("refused"), { code: "ConnectionRefused" });
    return worker(request);
  }) as typeof fetch;
  const table = new RouteTable();
  const source = new RouteSource(table, { controlUrl: "http://control", keys, fetch: fake });
  options = { domain: "example.com", keys, table, source, fetch: fake, onError: () => undefined };
  gateway = createGateway(options);
});

const client = { address: "192.0.2.7", protocol: "https" };
const ask = (path = "/x", init: RequestInit = {}, host = "acme.example.com") =>
  gateway.fetch(
    new Request(`http://gateway${path}`, { ...init, headers: { host, ...(init.headers as object) } }),
    { client },
  );

describe("a tenant's request", () => {
  test("reaches its worker with a grant for exactly this, and the next one asks nobody", async () => {
    let seen: Request | undefined;
    workers[A] = (request) => {
      seen = request;
      return new Response("from a", { headers: { connection: "close", "x-own": "1" } });
    };
    const answer = await ask("/x?y=1", {
      headers: {
        "x-forwarded-for": "6.6.6.6",
        "x-manybase-grant": "forged",
        connection: "x-drop",
        "x-drop": "1",
      },
    });
    expect(await answer.text()).toBe("from a");
    expect(answer.headers.get("connection")).toBeNull();
    expect(answer.headers.get("x-own")).toBe("1");
    expect(verifyGrant(keys, seen?.headers.get(HEADERS.grant) ?? null, "GET", "/x?y=1", Date.now())).toEqual({
      tenant: TENANT,
      epoch: 1,
      incarnation: 1,
    } as never);
    expect(verifyGrant(keys, seen?.headers.get(HEADERS.grant) ?? null, "GET", "/x?y=2", Date.now())).toBe(
      "forged",
    );
    expect(seen?.headers.get("x-forwarded-for")).toBe("192.0.2.7");
    expect(seen?.headers.get("x-forwarded-proto")).toBe("https");
    expect(seen?.headers.get("x-forwarded-host")).toBe("acme.example.com");
    expect(seen?.headers.has("x-drop")).toBe(false);
    await ask("/x");
    expect(calls).toEqual(["resolve", `GET ${A}/x?y=1`, `GET ${A}/x`]);
  });

  test("is sent again, body and all, when the worker says that it is not the owner", async () => {
    workers[A] = () => errorResponse(new UserError("not_owner", "Cannot serve"));
    workers[B] = async (request) => new Response(`b got ${await request.text()}`);
    let asked: object | undefined;
    control = ({ failed }) => {
      asked = failed;
      return failed === undefined ? route(A, 1, 1) : route(B, 2, 2);
    };
    const answer = await ask("/x", { method: "POST", body: "hello", headers: { "content-length": "5" } });
    expect(await answer.text()).toBe("b got hello");
    expect(asked).toEqual({ incarnation: 1, epoch: 1, reason: "not_owner" });
  });

  test("is sent again when the connection was refused, whatever its method", async () => {
    delete workers[A];
    control = ({ failed }) => (failed === undefined ? route(A, 1, 1) : route(B, 2, 2));
    expect(
      await (await ask("/x", { method: "POST", body: "x", headers: { "content-length": "1" } })).text(),
    ).toBe("from b");
  });

  test("is held while the worker starts", async () => {
    let times = 0;
    workers[A] = () => {
      const starting = errorResponse(new SystemError("worker_starting", "Cannot serve yet"));
      starting.headers.set(HEADERS.notRun, "1");
      return ++times < 3 ? starting : new Response("now");
    };
    expect(await (await ask()).text()).toBe("now");
  });

  test("is not sent again when a write may have run", async () => {
    let times = 0;
    workers[A] = () => {
      times++;
      throw new Error("connection reset");
    };
    const answer = await ask("/x", { method: "POST", body: "x", headers: { "content-length": "1" } });
    expect(answer.status).toBe(502);
    expect(await answer.json()).toMatchObject({ error: { code: "worker_lost" } });
    expect(times).toBe(1);
  });

  test("that only reads is sent again when the connection broke", async () => {
    workers[A] = () => {
      throw new Error("connection reset");
    };
    control = ({ failed }) => (failed === undefined ? route(A, 1, 1) : route(B, 2, 2));
    expect(await (await ask()).text()).toBe("from b");
  });

  test("with a body that streams goes only to a worker that says it is the owner", async () => {
    workers[A] = () => errorResponse(new UserError("not_owner", "Cannot serve"));
    workers[B] = async (request) =>
      new Response(`${new URL(request.url).pathname} ${(await request.text()).length}`);
    control = ({ failed }) => (failed === undefined ? route(A, 1, 1) : route(B, 2, 2));
    const body = new Blob(["x".repeat(3_000_000)]).stream();
    expect(await (await ask("/big", { method: "POST", body })).text()).toBe("/big 3000000");
    expect(calls).toEqual([
      "resolve",
      `GET ${A}/_manybase/owner`,
      "resolve",
      `GET ${B}/_manybase/owner`,
      `POST ${B}/big`,
    ]);
  });

  test("for an unknown tenant is 404: a page for browsers, JSON for the rest", async () => {
    control = () => errorResponse(new UserError("tenant_not_found", "Cannot find tenant <acme>"));
    const json = await ask();
    expect(json.status).toBe(404);
    expect(await json.json()).toEqual({
      error: { code: "tenant_not_found", message: "Cannot find tenant <acme>" },
    });
    const page = await ask("/", { headers: { accept: "text/html" } });
    expect(page.status).toBe(404);
    expect(await page.text()).toContain("Cannot find tenant &lt;acme&gt;");
  });

  test("for a suspended tenant is refused", async () => {
    control = () => route(A, 1, 1, { suspended: true });
    expect((await ask()).status).toBe(403);
  });
});

describe("a write with an Idempotency-Key", () => {
  const records = "/api/collections/notes/records";
  const write = (path: string, key = "k1", method = "POST") =>
    ask(path, { method, body: "x", headers: { "content-length": "1", "idempotency-key": key } });
  const losing = () => {
    workers[A] = () => {
      control = () => route(B, 2, 2);
      throw new Error("the connection broke");
    };
  };

  test.each([
    [records, "POST"],
    [`${records}/abc`, "PATCH"],
    [`${records}/abc`, "DELETE"],
    ["/api/batch", "POST"],
  ])("to %s by %s is sent again when its worker was lost", async (path, method) => {
    losing();
    expect(await (await write(path, "k1", method)).text()).toBe("from b");
  });

  test.each([
    ["/api/collections/users/auth-with-password", "k1"],
    ["/api/collections", "k1"],
    [`${records}/abc`, "k1"],
    [records, ""],
    [records, "k".repeat(256)],
  ])("to %s with key %s is not: no worker remembers it", async (path, key) => {
    losing();
    const answer = await write(path, key);
    expect([answer.status, await answer.text()]).toEqual([502, expect.stringContaining("worker_lost")]);
  });

  test("and a read are sent again when the worker could not make sure of its answer, nothing else is", async () => {
    const unsure = () => {
      control = () => route(B, 2, 2);
      return new Response("{}", { status: 503, headers: { [HEADERS.commitState]: "unknown" } });
    };
    for (const again of [() => write(records), () => ask("/x")]) {
      control = () => route(A, 1, 1);
      workers[A] = unsure;
      expect(await (await again()).text()).toBe("from b");
    }
    workers[B] = unsure;
    const plain = await ask(records, { method: "POST", body: "x", headers: { "content-length": "1" } });
    expect([plain.status, plain.headers.get(HEADERS.commitState)]).toEqual([503, "unknown"]);
  });
});

describe("other hosts", () => {
  test.each([
    ["admin.example.com", 200, "Platform operators"],
    ["app.example.com", 200, "Your applications"],
    ["example.com", 200, "Manybase"],
    ["acme.other.org", 404, "There is nothing here"],
    ["bad host", 400, "not an address"],
  ])("%s answers %d", async (host, status, text) => {
    const answer = await ask("/", { headers: { accept: "text/html" } }, host);
    expect(answer.status).toBe(status);
    expect(await answer.text()).toContain(text);
  });

  test("a tenant's admin UI says that it is not there, where there is a tenant", async () => {
    const headers = { accept: "text/html" };
    expect((await ask("/_/", { headers }, "nobody.example.com")).status).toBe(404);
    found = () => route(A, 1, 1);
    const page = await ask("/_/", { headers });
    expect([page.status, await page.text()]).toEqual([404, expect.stringContaining("The admin UI")]);
  });

  test("the operators' API is control's", async () => {
    expect(await (await ask("/api/cp/tenants", {}, "admin.example.com")).text()).toBe("operators' api");
  });
});

test("a turn ends once, whatever became of its request", async () => {
  gateway = createGateway({ ...options, turns: { totalMax: 10, tenantMax: 1 } });
  workers[A] = () => Promise.reject(Object.assign(new Error("broken"), { code: "ECONNRESET" }));
  for (let i = 0; i < 3; i++) expect((await ask("/x", { method: "POST" })).status).toBe(502);
  const { promise, resolve } = Promise.withResolvers<void>();
  let running = 0;
  let most = 0;
  workers[A] = async () => {
    most = Math.max(most, (running += 1));
    await promise;
    running -= 1;
    return new Response("from a");
  };
  const asked = [ask(), ask(), ask()];
  while (gateway.gauges.waiting() < 2) await Bun.sleep(1);
  resolve();
  for (const one of await Promise.all(asked)) expect(one.status).toBe(200);
  expect(most).toBe(1);
  expect(gateway.gauges.waiting()).toBe(0);
});
