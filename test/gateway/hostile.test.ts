import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
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

let control: FakeControl;
let worker: FakeWorker;

beforeAll(() => {
  worker = startWorker(1, async (request) => new Response(`ok ${(await request.text()).length}`));
  control = new FakeControl();
  control.set("acme", worker);
});

afterAll(async () => {
  await killAll();
  await worker.stop();
  await control.stop();
  removeData();
});

/** Every one tries to make the next hop see a request to /smuggled that the gateway did not see. */
const HIDDEN = "GET /smuggled HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
const head = (...lines: string[]): string =>
  `POST /x HTTP/1.1\r\nHost: acme.localhost\r\n${lines.join("\r\n")}\r\n\r\n`;
const SMUGGLING: readonly [name: string, text: string][] = [
  ["length and chunks", head("Content-Length: 4", "Transfer-Encoding: chunked") + `0\r\n\r\n${HIDDEN}`],
  ["chunks and length", head("Transfer-Encoding: chunked", "Content-Length: 4") + `0\r\n\r\n${HIDDEN}`],
  ["two lengths", head("Content-Length: 0", `Content-Length: ${HIDDEN.length}`) + HIDDEN],
  ["a list of lengths", head(`Content-Length: 0, ${HIDDEN.length}`) + HIDDEN],
  ["a negative length", head("Content-Length: -1") + HIDDEN],
  ["a signed length", head("Content-Length: +0") + HIDDEN],
  ["a length in hex", head("Content-Length: 0x0") + HIDDEN],
  ["chunked twice", head("Transfer-Encoding: chunked, chunked") + `0\r\n\r\n${HIDDEN}`],
  ["an unknown coding", head("Transfer-Encoding: xchunked", "Content-Length: 0") + HIDDEN],
  ["chunked, then identity", head("Transfer-Encoding: chunked, identity") + `0\r\n\r\n${HIDDEN}`],
  ["two codings", head("Transfer-Encoding: chunked", "Transfer-Encoding: x") + `0\r\n\r\n${HIDDEN}`],
  ["a space before the colon", head("Content-Length : 0", "Transfer-Encoding : chunked") + HIDDEN],
  ["a tab in the coding", head("Transfer-Encoding:\tchunked", "Content-Length: 3") + `0\r\n\r\n${HIDDEN}`],
  ["a folded header", head("X: y", " Transfer-Encoding: chunked", "Content-Length: 0") + HIDDEN],
  ["a chunk size that overflows", head("Transfer-Encoding: chunked") + `10000000000000000\r\n\r\n${HIDDEN}`],
  ["a negative chunk size", head("Transfer-Encoding: chunked") + `-1\r\n\r\n${HIDDEN}`],
  ["a chunk longer than it says", head("Transfer-Encoding: chunked") + `1\r\nab\r\n0\r\n\r\n`],
  ["a bare line feed in the chunk size", head("Transfer-Encoding: chunked") + `0\n\n${HIDDEN}`],
  ["a zero byte in a header", head("X: a\0b", "Content-Length: 0") + HIDDEN],
  ["a carriage return in a header", head("X: a\rTransfer-Encoding: chunked", "Content-Length: 0")],
];

/** Hosts that are nobody's. */
const HOSTS = [
  "",
  "a b",
  "acme.localhost@evil",
  "acme.localhost:99999999",
  "../etc",
  "acme..localhost",
  "%61cme.localhost",
];

describe.each(RUNTIMES)("hostile requests on %s", (runtime) => {
  let gateway: GatewayProcess;
  // workerd has no request for a URL that is none, and says 500; Cloudflare's edge lets none through.
  const refusals = runtime === "workers" ? [400, 500] : [400];
  beforeAll(async () => {
    gateway = await startGateway(runtime, control.url);
    await (await fetch(gateway.url("acme"))).text();
  });
  afterAll(() => gateway.process.kill("SIGKILL"));

  // What Cloudflare's edge hands to a Worker is framed anew by it: workerd's own reading of raw connections is not exposed.
  const framed = runtime === "workers" ? [] : SMUGGLING;
  test.each(framed)("%s: refused, and nothing of it reaches a worker", async (_, text) => {
    worker.seen.length = 0;
    const raw = await connectRaw(gateway.port);
    raw.send(text);
    await Promise.race([raw.closed, raw.until(/\r\n\r\n/)]);
    // Nothing more comes on this connection, whatever else was on it.
    await Promise.race([raw.closed, Bun.sleep(500)]);
    expect(statusOf(raw.text())).toBe(400);
    expect(raw.text().match(/HTTP\/1\.1 \d{3}/g)?.length ?? 0).toBeLessThanOrEqual(1);
    expect(worker.seen).toEqual([]);
    raw.end();
    expect((await fetch(gateway.url("acme"))).status).toBe(200);
  });

  test.each(HOSTS)("host %j is refused", async (host) => {
    const answer = await exchangeRaw(
      gateway.port,
      `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      /\r\n\r\n/,
      700,
    );
    expect(refusals).toContain(statusOf(answer));
  });

  test("two hosts, and no host, are refused", async () => {
    const two = "GET / HTTP/1.1\r\nHost: acme.localhost\r\nHost: other.localhost\r\n\r\n";
    expect(refusals).toContain(statusOf(await exchangeRaw(gateway.port, two, /\r\n\r\n/, 700)));
    expect(statusOf(await exchangeRaw(gateway.port, "GET / HTTP/1.1\r\n\r\n", /\r\n\r\n/, 700))).toBe(400);
  });

  test("an absolute target does not lead past the Host header", async () => {
    worker.seen.length = 0;
    const text = "GET http://evil.example/y HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
    const answer = await exchangeRaw(gateway.port, text, /\r\n\r\n/, 700);
    if (statusOf(answer) === 200) expect(worker.seen).toEqual(["GET /y"]);
    else expect(statusOf(answer)).toBeGreaterThanOrEqual(400);
  });

  test("a long address and large headers are refused, and the connection's process lives", async () => {
    const long = await fetch(gateway.url("acme", `/${"a".repeat(limits.urlCharactersMax)}`));
    expect([413, 414, 431]).toContain(long.status);
    const fat = await exchangeRaw(
      gateway.port,
      `GET / HTTP/1.1\r\nHost: acme.localhost\r\nX: ${"a".repeat(limits.headerBytesMax)}\r\n\r\n`,
      /\r\n\r\n/,
      1_500,
    );
    expect([0, 400, 413, 431]).toContain(statusOf(fat));
    const lines = Array.from({ length: limits.headersMax + 1 }, (_, i) => `X-${i}: a\r\n`).join("");
    const many = await exchangeRaw(
      gateway.port,
      `GET / HTTP/1.1\r\nHost: acme.localhost\r\n${lines}\r\n`,
      /\r\n\r\n/,
      1_500,
    );
    expect([0, 400, 413, 431]).toContain(statusOf(many));
    expect((await fetch(gateway.url("acme"))).status).toBe(200);
  });

  if (runtime !== "workers") {
    test("connections that broke before they were taken do not keep others waiting", async () => {
      gateway.process.kill("SIGSTOP");
      await eventually(() => {
        const state = Bun.spawnSync(["ps", "-o", "stat=", "-p", String(gateway.process.pid)]).stdout;
        expect(state.toString()).toStartWith("T");
        return Promise.resolve();
      });
      await Promise.all(
        Array.from({ length: 400 }, async () => {
          const raw = await connectRaw(gateway.port);
          raw.send("GET / HT");
          await Bun.sleep(1);
          raw.reset();
        }),
      );
      gateway.process.kill("SIGCONT");
      // Each that is waited for would add to this.
      const request = "GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
      expect(statusOf(await exchangeRaw(gateway.port, request, /\r\n\r\n/, 6_000))).toBe(200);
    }, 30_000);

    test("clients that break off their uploads do not make the worker look broken", async () => {
      const before = control.resolves;
      for (let i = 0; i < 6; i++) {
        const raw = await connectRaw(gateway.port);
        raw.send("POST /x HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 10000000\r\n\r\nabc");
        await Bun.sleep(40);
        raw.end();
        await raw.closed;
      }
      await Bun.sleep(100);
      expect((await fetch(gateway.url("acme"))).status).toBe(200);
      expect(control.resolves).toBe(before);
    });
  }

  test("half a request, then silence or the end, leaves nothing behind", async () => {
    for (const text of [
      "GET / HT",
      "POST /x HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 10\r\n\r\nabc",
    ]) {
      await exchangeRaw(gateway.port, text, /\r\n\r\n/, 50);
    }
    expect((await fetch(gateway.url("acme"))).status).toBe(200);
  });
});
