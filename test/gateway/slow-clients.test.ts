import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
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
import { connectRaw, statusOf } from "./raw.ts";

let control: FakeControl;
let worker: FakeWorker;
/** Endless answers that are being sent, and events that were asked for. */
let sending = 0;
/** Parts that were asked for. */
let parts = 0;
const PARTS = 150;
/** Less than what goes out in one piece, and in all more than a system keeps for who does not read. */
const partOf = (at: number): string => `${at} `.repeat(50_000).slice(0, 50_000);

beforeAll(() => {
  worker = startWorker(1, async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/endless") {
      sending += 1;
      const part = new Uint8Array(64 * 1024);
      return new Response(
        new ReadableStream({
          pull: (controller) => controller.enqueue(part),
          cancel: () => {
            sending -= 1;
          },
        }),
      );
    }
    if (pathname === "/quiet") {
      let count = 0;
      const body = new ReadableStream({
        async pull(controller) {
          if (count++ > 0) await Bun.sleep(3_500);
          controller.enqueue(new TextEncoder().encode(`data: ${count}\n\n`));
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    }
    if (pathname === "/part") {
      parts += 1;
      return new Response(partOf(Number(new URL(request.url).searchParams.get("at"))));
    }
    return new Response(`got ${(await request.text()).length}`);
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

/** The process's sockets: to clients, workers and control. */
function socketsOf({ process }: GatewayProcess): number {
  const folder = `/proc/${process.pid}/fd`;
  return readdirSync(folder).filter((name) => {
    try {
      return readlinkSync(`${folder}/${name}`).startsWith("socket:");
    } catch {
      return false;
    }
  }).length;
}

describe.each(PROCESSES)("slow clients on %s", (runtime) => {
  let gateway: GatewayProcess;
  beforeAll(async () => {
    gateway = await startGateway(runtime, control.url, ["--client-wait=1"]);
    await eventually(async () => expect((await fetch(gateway.url("acme"))).status).toBe(200));
  });
  afterAll(() => gateway.process.kill("SIGKILL"));

  test("a head that comes too slowly, or never, ends its connection", async () => {
    for (const begun of ["", "GET / HT"]) {
      const raw = await connectRaw(gateway.port);
      raw.send(begun);
      const drip = setInterval(() => begun !== "" && raw.send("x"), 200);
      await raw.closed;
      clearInterval(drip);
      expect(raw.text()).toBe("");
    }
  }, 30_000);

  test("a body that comes too slowly ends with 408", async () => {
    const raw = await connectRaw(gateway.port);
    raw.send("POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 1000\r\n\r\n");
    const drip = setInterval(() => raw.send("x"), 200);
    const answer = await raw.until(/client_too_slow/, 8_000);
    clearInterval(drip);
    expect(statusOf(answer)).toBe(408);
    expect(answer).toContain("client_too_slow");
    raw.end();
  }, 15_000);

  test("a client that does not read its answer is left, and the worker with it", async () => {
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: gateway.port,
      socket: { data: () => undefined },
    });
    socket.pause();
    await eventually(() => expect(socketsOf(gateway)).toBeGreaterThan(2));
    socket.write("GET /endless HTTP/1.1\r\nHost: acme.localhost\r\n\r\n");
    await eventually(() => expect(sending).toBe(1), 5_000);
    const before = socketsOf(gateway);
    await eventually(() => expect(sending).toBe(0), 20_000);
    await eventually(() => expect(socketsOf(gateway)).toBeLessThan(before));
    socket.terminate();
    expect((await fetch(gateway.url("acme"))).status).toBe(200);
  }, 30_000);

  test("answers that are read late come whole and in order, the last one before the end", async () => {
    parts = 0;
    let text = "";
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: gateway.port,
      socket: { data: (_, bytes) => void (text += bytes.toString("latin1")), close: () => end() },
    });
    socket.pause();
    const get = (at: number): string =>
      `GET /part?at=${at} HTTP/1.1\r\nHost: acme.localhost\r\n${at === PARTS - 1 ? "Connection: close\r\n" : ""}\r\n`;
    socket.write(Array.from({ length: PARTS }, (_, at) => get(at)).join(""));
    // Until nothing more goes out.
    for (let seen = -1; seen !== parts;) {
      seen = parts;
      await Bun.sleep(200);
    }
    expect(parts).toBeGreaterThan(2);
    expect(parts).toBeLessThan(PARTS);
    socket.resume();
    await ended;
    const bodies = text.split(/HTTP\/1\.1 200 OK\r\n/).map((answer) => answer.split("\r\n\r\n")[1]);
    expect(bodies.slice(1)).toEqual(Array.from({ length: PARTS }, (_, at) => partOf(at)));
  }, 30_000);

  test("a stream that has nothing to say is left alone", async () => {
    const answer = await fetch(gateway.url("acme", "/quiet"));
    const reader = answer.body?.getReader();
    const texts: string[] = [];
    for (let i = 0; i < 2; i++) texts.push(new TextDecoder().decode((await reader?.read())?.value));
    expect(texts).toEqual(["data: 1\n\n", "data: 2\n\n"]);
    await reader?.cancel();
  }, 15_000);
});
