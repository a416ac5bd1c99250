import { afterAll, beforeAll, expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import { killAll } from "../e2e/process.ts";
import {
  FakeControl,
  type FakeWorker,
  type GatewayProcess,
  removeData,
  startGateway,
  startWorker,
} from "./platform.ts";

let a: FakeWorker;
let b: FakeWorker;
let control: FakeControl;
let gateway: GatewayProcess;
const text = async (name: string, init: RequestInit = {}) => (await fetch(gateway.url(name), init)).text();

beforeAll(async () => {
  a = startWorker(1, () => new Response("from a"));
  b = startWorker(2, () => new Response("from b"));
  control = new FakeControl();
  control.set("acme", a);
  gateway = await startGateway("workers", control.url);
});

afterAll(async () => {
  await killAll();
  await Promise.all([a.stop(), b.stop(), control.stop()]);
  removeData();
});

test("a route is asked for once in its life, and crowds do not trip over each other's questions", async () => {
  const crowd = await Promise.all(Array.from({ length: 20 }, () => text("acme")));
  expect(new Set(crowd)).toEqual(new Set(["from a"]));
  const before = control.resolves;
  for (let i = 0; i < 10; i++) expect(await text("acme")).toBe("from a");
  expect(control.resolves).toBe(before);
});

test("a moved tenant is found by the old worker's word", async () => {
  control.set("acme", { url: a.url, incarnation: 9 });
  control.set("acme", b);
  a.incarnation = 8;
  expect(await text("acme")).toBe("from b");
  expect(await text("acme", { method: "POST", body: "x" })).toBe("from b");
});

test("a dead worker is left for the one that control names", async () => {
  const dead = startWorker(5, () => new Response("gone"));
  control.set("brief", dead);
  expect(await text("brief")).toBe("gone");
  await dead.stop();
  control.set("brief", b);
  expect(await text("brief")).toBe("from b");
});

test("past its life a route is asked for again, and still serves while control is down", async () => {
  await Bun.sleep(limits.routeLifeMs + 100);
  const before = control.resolves;
  expect(await text("acme")).toBe("from b");
  expect(control.resolves).toBe(before + 1);
  await Bun.sleep(limits.routeLifeMs + 100);
  await control.stop();
  expect(await text("acme")).toBe("from b");
  expect((await fetch(gateway.url("nobody"))).status).toBe(503);
}, 30_000);
