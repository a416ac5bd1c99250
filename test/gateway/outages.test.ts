import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { limits } from "../../shared/limits.ts";
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

let a: FakeWorker;
let b: FakeWorker;

beforeAll(() => {
  a = startWorker(1, () => new Response("from a"));
  b = startWorker(2, () => new Response("from b"));
});

afterAll(async () => {
  await killAll();
  await Promise.all([a.stop(), b.stop()]);
  removeData();
});

describe.each(PROCESSES)("while control is down, on %s", (runtime) => {
  let control: FakeControl;
  let gateway: GatewayProcess;
  const text = async (name: string) => (await fetch(gateway.url(name))).text();

  beforeAll(async () => {
    control = new FakeControl();
    control.set("acme", a);
    control.set("other", b);
    gateway = await startGateway(runtime, control.url);
    expect(await text("acme")).toBe("from a");
    const file = join(gateway.data, "gateway", "routes.json");
    const copied = () => expect(JSON.parse(readFileSync(file, "utf8")).routes).toHaveLength(2);
    await eventually(copied, limits.routeCopyMs * 2);
    await control.stop();
  }, 20_000);
  afterAll(() => gateway.process.kill("SIGKILL"));

  test("known tenants are served, unknown ones are 503", async () => {
    expect(await text("acme")).toBe("from a");
    const unknown = await fetch(gateway.url("nobody"));
    expect(unknown.status).toBe(503);
    expect(await unknown.json()).toMatchObject({ error: { code: "control_unreachable" } });
    expect(Number(unknown.headers.get("retry-after"))).toBeGreaterThan(0);
  });

  test("a gateway that starts serves from its copy", async () => {
    gateway.process.kill("SIGKILL");
    await gateway.process.exited;
    gateway = await startGateway(runtime, control.url, [], gateway.data);
    expect(await text("acme")).toBe("from a");
    expect(await text("other")).toBe("from b");
    expect((await fetch(gateway.url("nobody"))).status).toBe(503);
  });

  test("when it is back, unknown is 404 again and changes arrive", async () => {
    control.set("acme", b);
    control.restart();
    await eventually(async () => expect((await fetch(gateway.url("nobody"))).status).toBe(404));
    await eventually(async () => expect(await text("acme")).toBe("from b"));
  });
});

describe.each(PROCESSES)("while workers come and go, on %s", (runtime) => {
  let control: FakeControl;
  let gateway: GatewayProcess;

  beforeAll(async () => {
    control = new FakeControl();
    control.set("acme", a);
    // The first address is nobody's: the second replica is asked at once.
    gateway = await startGateway(runtime, `http://127.0.0.1:1,${control.url}`);
    await eventually(async () => expect((await fetch(gateway.url("acme"))).status).toBe(200));
  });
  afterAll(async () => {
    gateway.process.kill("SIGKILL");
    await control.stop();
  });

  test("a question that control loses is asked again by another connection", async () => {
    let times = 0;
    control.onResolve = async () => {
      times += 1;
      if (times === 1) await Bun.sleep(20_000);
    };
    control.routes.set("fresh", { ...control.routes.get("acme"), slug: "fresh" });
    expect(await (await fetch(gateway.url("fresh"))).text()).toBe("from a");
    expect(times).toBe(2);
    control.onResolve = undefined;
  });

  test("requests to a worker that refuses are held until the tenant has another one", async () => {
    const dead = startWorker(77, () => new Response(""));
    await dead.stop();
    control.set("acme", dead);
    await Bun.sleep(50);
    control.onResolve = () => Bun.sleep(100);
    setTimeout(() => control.set("acme", b), 800);
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const method = i % 2 === 0 ? "GET" : "POST";
        const answer = await fetch(gateway.url("acme"), { method, ...(i % 2 === 0 ? {} : { body: "x" }) });
        return answer.text();
      }),
    );
    expect(new Set(answers)).toEqual(new Set(["from b"]));
    control.onResolve = undefined;
  });

  test("a worker that says nothing is left when the tenant has another one", async () => {
    const silent = startWorker(3, async () => {
      await Bun.sleep(60_000);
      return new Response("late");
    });
    control.set("acme", silent);
    await Bun.sleep(50);
    const read = fetch(gateway.url("acme"));
    const write = fetch(gateway.url("acme"), { method: "POST", body: "x" });
    await eventually(() => expect(silent.seen).toHaveLength(2));
    control.set("acme", b);
    expect(await (await read).text()).toBe("from b");
    expect(await (await write).json()).toMatchObject({ error: { code: "worker_lost" } });
    await silent.stop();
  }, 20_000);
});
