import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { eventually, killAll } from "../e2e/process.ts";
import {
  FakeControl,
  type FakeWorker,
  type GatewayProcess,
  RUNTIMES,
  removeData,
  startGateway,
  startWorker,
} from "./platform.ts";
import { connectRaw, exchangeRaw, statusOf } from "./raw.ts";

/** MANYBASE_LONG=1 runs the long form. */
const MEBIBYTE = 1024 * 1024;
const BIG_BYTES = (process.env["MANYBASE_LONG"] === "1" ? 1024 : 200) * MEBIBYTE;
const chunk = new Uint8Array(256 * 1024).fill(120);
const plain = "hello ".repeat(1_000);
const zipped = gzipSync(plain);

let control: FakeControl;
let worker: FakeWorker;
let aborted: string[];

function zeros(bytes: number): ReadableStream<Uint8Array> {
  let left = bytes;
  return new ReadableStream({
    pull(controller) {
      if (left <= 0) controller.close();
      else controller.enqueue(left >= chunk.length ? chunk : chunk.subarray(0, left));
      left -= chunk.length;
    },
  });
}

async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  switch (pathname) {
    case "/count": {
      let bytes = 0;
      for await (const part of request.body ?? []) bytes += part.byteLength;
      return Response.json({ bytes, length: request.headers.get("content-length") });
    }
    case "/big":
      return new Response(zeros(BIG_BYTES), { headers: { "x-manybase-body-length": String(BIG_BYTES) } });
    case "/gzip":
      return new Response(zipped, {
        headers: { "content-encoding": "gzip", "x-asked": request.headers.get("accept-encoding") ?? "" },
      });
    case "/range":
      return new Response("234", {
        status: 206,
        headers: {
          "content-range": "bytes 2-4/10",
          "accept-ranges": "bytes",
          "x-range": request.headers.get("range") ?? "",
        },
      });
    case "/head":
      return new Response(null, { headers: { "content-length": "1234", etag: '"a"' } });
    case "/cookies": {
      const headers = new Headers();
      headers.append("set-cookie", "a=1; Path=/");
      headers.append("set-cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT");
      return new Response("x", { headers });
    }
    case "/redirect":
      return new Response(null, { status: 302, headers: { location: "http://elsewhere.example/x" } });
    case "/empty":
      return new Response(null, { status: 204 });
    case "/forever":
      request.signal.addEventListener("abort", () => aborted.push(pathname));
      await Bun.sleep(10_000);
      return new Response("late");
    case "/events":
      return events(request);
    case "/echo":
      return new Response(await request.text());
    default:
      return Response.json(Object.fromEntries(request.headers));
  }
}

function events(request: Request): Response {
  let timer: Timer | undefined;
  const stop = () => {
    clearInterval(timer);
    aborted.push("/events");
  };
  request.signal.addEventListener("abort", stop);
  const body = new ReadableStream<string>({
    start(controller) {
      controller.enqueue("data: first\n\n");
      timer = setInterval(() => controller.enqueue("data: more\n\n"), 50);
    },
    cancel: stop,
  });
  return new Response(body, {
    headers: { "content-type": "text/event-stream" },
  });
}

beforeAll(() => {
  worker = startWorker(1, (request, server) => {
    if (request.headers.get("upgrade") !== "websocket") return answer(request);
    const protocol = request.headers.get("sec-websocket-protocol")?.split(",")[0];
    const done = server.upgrade(request, {
      data: undefined,
      ...(protocol === undefined ? {} : { headers: { "sec-websocket-protocol": protocol } }),
    });
    return done ? undefined : new Response("not a websocket", { status: 400 });
  });
  control = new FakeControl();
  control.set("acme", worker);
});

afterAll(async () => {
  await killAll();
  await worker.stop();
  await control.stop();
  removeData();
});

describe.each(RUNTIMES)("streaming on %s", (runtime) => {
  let gateway: GatewayProcess;
  beforeAll(async () => {
    aborted = [];
    gateway = await startGateway(runtime, control.url);
    await (await fetch(gateway.url("acme"))).text();
  });
  afterAll(() => gateway.process.kill("SIGKILL"));

  async function growthOf(work: () => Promise<void>): Promise<number> {
    const before = gateway.rssBytes();
    let most = before;
    const timer = setInterval(() => (most = Math.max(most, gateway.rssBytes())), 100);
    await work();
    clearInterval(timer);
    return (most - before) / MEBIBYTE;
  }

  test("a large upload of known length streams with flat memory", async () => {
    const grown = await growthOf(async () => {
      const answer = await fetch(gateway.url("acme", "/count"), {
        method: "POST",
        headers: { "content-length": String(BIG_BYTES) },
        body: zeros(BIG_BYTES),
      });
      expect(await answer.json()).toMatchObject({ bytes: BIG_BYTES });
    });
    expect(grown).toBeLessThan(100);
  }, 120_000);

  test("a large download streams with flat memory, also to a slow reader", async () => {
    const grown = await growthOf(async () => {
      const answer = await fetch(gateway.url("acme", "/big"));
      expect(answer.headers.get("content-length")).toBe(String(BIG_BYTES));
      expect(answer.headers.has("x-manybase-body-length")).toBe(false);
      let bytes = 0;
      for await (const part of answer.body ?? []) {
        if (bytes === 0) await Bun.sleep(1_000);
        bytes += part.byteLength;
      }
      expect(bytes).toBe(BIG_BYTES);
    });
    expect(grown).toBeLessThan(100);
  }, 120_000);

  test("a chunked upload reaches the worker whole", async () => {
    const raw = await connectRaw(gateway.port);
    raw.send("POST /echo HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    raw.send("5\r\nhello\r\n");
    await Bun.sleep(50);
    raw.send("1\r\n!\r\n0\r\nX-Trailer: dropped\r\n\r\n");
    const answer = await raw.until(/hello!/);
    expect(statusOf(answer)).toBe(200);
    expect(answer).toContain("hello!");
    raw.end();
  });

  test("gzip from the worker arrives as the worker made it", async () => {
    const answer = await fetch(gateway.url("acme", "/gzip"), {
      headers: { "accept-encoding": "gzip" },
      decompress: false,
    } as RequestInit);
    expect(answer.headers.get("content-encoding")).toBe("gzip");
    expect(Buffer.from(await answer.arrayBuffer()).equals(zipped)).toBe(true);
    const read = await fetch(gateway.url("acme", "/gzip"));
    expect(await read.text()).toBe(plain);
  });

  test("Range and its answer pass through", async () => {
    const answer = await fetch(gateway.url("acme", "/range"), { headers: { range: "bytes=2-4" } });
    expect(answer.status).toBe(206);
    expect(answer.headers.get("content-range")).toBe("bytes 2-4/10");
    expect(answer.headers.get("x-range")).toBe("bytes=2-4");
    expect(await answer.text()).toBe("234");
  });

  test("HEAD keeps the length and has no body", async () => {
    const text = await exchangeRaw(gateway.port, "HEAD /head HTTP/1.1\r\nHost: acme.localhost\r\n\r\n");
    expect(statusOf(text)).toBe(200);
    expect(text.toLowerCase()).toContain("content-length: 1234");
    expect(text.toLowerCase()).not.toContain("transfer-encoding");
    expect(text.endsWith("\r\n\r\n")).toBe(true);
  });

  test("204, redirects and several cookies are the worker's own", async () => {
    expect((await fetch(gateway.url("acme", "/empty"))).status).toBe(204);
    const moved = await fetch(gateway.url("acme", "/redirect"), { redirect: "manual" });
    expect([moved.status, moved.headers.get("location")]).toEqual([302, "http://elsewhere.example/x"]);
    const cookies = (await fetch(gateway.url("acme", "/cookies"))).headers.getSetCookie();
    expect(cookies).toEqual(["a=1; Path=/", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"]);
  });

  test("server-sent events arrive at once, and the client's leaving reaches the worker", async () => {
    const leave = new AbortController();
    const answer = await fetch(gateway.url("acme", "/events"), { signal: leave.signal });
    const reader = answer.body?.getReader();
    const first = await reader?.read();
    expect(new TextDecoder().decode(first?.value)).toStartWith("data: first\n\n");
    aborted = [];
    leave.abort();
    await eventually(() => expect(aborted).toContain("/events"), 3_000);
  });

  test("a client that leaves before the answer is given up at the worker", async () => {
    aborted = [];
    const gone = await fetch(gateway.url("acme", "/forever"), { signal: AbortSignal.timeout(200) }).catch(
      (error: Error) => error.name,
    );
    expect(gone).toBe("TimeoutError");
    await eventually(() => expect(aborted).toContain("/forever"), 3_000);
  });

  // Where Workers run, the edge in front of them answers this.
  if (runtime !== "workers") {
    test("Expect: 100-continue is answered before the body comes", async () => {
      const raw = await connectRaw(gateway.port);
      raw.send(
        "POST /echo HTTP/1.1\r\nHost: acme.localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
      );
      expect(statusOf(await raw.until(/\r\n\r\n/))).toBe(100);
      raw.send("hello");
      expect(await raw.until(/hello/)).toContain("hello");
      raw.end();
    });
  }

  test("hop-by-hop and spoofed headers do not reach the worker", async () => {
    const text = await exchangeRaw(
      gateway.port,
      [
        "GET / HTTP/1.1",
        "Host: ACME.localhost.:80",
        "Connection: X-Mine, keep-alive",
        "X-Mine: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Authorization: basic x",
        "TE: trailers",
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Host: evil",
        "X-Forwarded-Proto: https",
        "Forwarded: for=6.6.6.6",
        "X-Real-Ip: 6.6.6.6",
        "X-Tenant-Id: other",
        "X-Manybase-Grant: forged",
        "X-Request-Id: mine-1",
        "Accept-Encoding: br",
        ...(runtime === "workers" ? ["CF-Connecting-IP: 127.0.0.1"] : []),
        "\r\n",
      ].join("\r\n"),
      /\}/,
    );
    const seen = JSON.parse(/\{.*\}/.exec(text)?.[0] ?? "{}") as Record<string, string>;
    expect(seen).toMatchObject({
      "x-forwarded-for": "127.0.0.1",
      "x-real-ip": "127.0.0.1",
      "x-forwarded-proto": "http",
      "x-forwarded-host": "ACME.localhost.:80",
      "x-request-id": "mine-1",
    });
    for (const name of ["x-mine", "proxy-authorization", "te", "forwarded", "x-tenant-id"]) {
      expect(seen).not.toHaveProperty(name);
    }
    expect(seen["x-manybase-grant"]).not.toContain("forged");
    expect(text.toLowerCase()).toContain("x-request-id: mine-1");
  });

  test("a WebSocket passes through, both ways, with its protocol and its end", async () => {
    const socket = new WebSocket(`${gateway.url("acme", "/socket").replace("http", "ws")}?a=1`, ["chat"]);
    const messages: unknown[] = [];
    socket.addEventListener("message", ({ data }) => messages.push(data));
    const closed = new Promise<number>((resolve) => {
      socket.addEventListener("close", ({ code }) => resolve(code));
    });
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", () => reject(new Error("refused")));
    });
    expect(socket.protocol).toBe("chat");
    socket.send("hello");
    socket.send("x".repeat(100_000));
    await eventually(() => expect(messages).toEqual(["hello", "x".repeat(100_000)]), 3_000);
    socket.close(1000);
    expect(await closed).toBe(1000);
    expect(worker.seen).toContain("GET /socket?a=1");
  });
});
