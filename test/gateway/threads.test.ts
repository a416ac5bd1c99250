/** A gateway of several threads: one address, each thread its share. */
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

beforeAll(() => {
  worker = startWorker(1, () => new Response("ok"));
  control = new FakeControl();
  control.set("acme", worker);
  // Each thread lets one through, and no other one for minutes.
  control.set("slow", worker, { limits: { requestsPerSecond: 0.002 } });
});

afterAll(async () => {
  await killAll();
  await Promise.all([worker.stop(), control.stop()]);
  removeData();
});

describe.each(PROCESSES)("two threads on %s", (runtime) => {
  let gateway: GatewayProcess;
  let metricsUrl: string;
  beforeAll(async () => {
    gateway = await startGateway(runtime, control.url, [
      "--threads=2",
      "--tenant-rate=100",
      "--metrics=127.0.0.1:0",
    ]);
    metricsUrl = `${await gateway.process.line("gateway metrics on ")}/metrics`;
  }, 30_000);

  /** Connections of their own, which the system gives to either thread. */
  const ask = (name: string) =>
    exchangeRaw(gateway.port, `GET / HTTP/1.1\r\nHost: ${name}.localhost\r\n\r\n`, /\r\n\r\n/, 10_000);
  const askMany = async (name: string) =>
    (await Promise.all(Array.from({ length: 40 }, () => ask(name)))).map(statusOf);

  test("both serve, each within its share of a bound, and are counted together", async () => {
    await eventually(async () =>
      expect(await (await fetch(metricsUrl)).text()).toContain("gateway_following 1"),
    );
    const statuses = await askMany("slow");
    expect(statuses.filter((status) => status === 200).length).toBe(2);
    expect(statuses.filter((status) => status === 429).length).toBe(38);
    expect(await ask("acme")).toContain("ratelimit-limit: 100\r\n");
    const text = await (await fetch(metricsUrl)).text();
    expect(text).toContain('requests_total{kind="tenant",method="GET",status="429"} 38\n');
    expect(text).toContain(`manybase_gateway_routes ${control.routes.size}\n`);
  }, 30_000);

  test("a change of a route reaches both", async () => {
    control.set("fresh", worker);
    control.set("acme", undefined, { suspended: true });
    await eventually(async () => expect(new Set(await askMany("acme"))).toEqual(new Set([403])));
    expect(new Set(await askMany("fresh"))).toEqual(new Set([200]));
    control.set("acme", worker);
  }, 30_000);

  test("another gateway cannot take the same address", async () => {
    const options = ["--threads=2", `--listen=127.0.0.1:${gateway.port}`];
    const error = await startGateway(runtime, control.url, options).catch((cause: Error) => cause.message);
    expect(error).toContain(`Cannot listen on 127.0.0.1:${gateway.port}`);
  }, 30_000);

  test("they end together", async () => {
    gateway.process.kill("SIGTERM");
    expect(await gateway.process.exited).toBe(0);
  }, 30_000);
});
