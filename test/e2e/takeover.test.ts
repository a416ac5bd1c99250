import { afterAll, beforeAll, expect, test, setDefaultTimeout } from "bun:test";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import PocketBase, { type ClientResponseError } from "pocketbase";
import { temporaryDirectory } from "./all-in-one.ts";
import { decodeLogObject } from "../../shared/log/decode.ts";
import { decodeState } from "../../shared/log/state.ts";
import { workersPrefix } from "../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import { openObjectStore } from "../../worker/objects/open.ts";
import { type Running, bin, eventually, finish, killAll, run } from "./process.ts";

setDefaultTimeout(60_000);

/** Every part started by its own command, as README says for several machines. */
const data = temporaryDirectory();
const token = `mbo_${"t".repeat(40)}`;
let control: Running;
let controlUrl: string;
let gatewayUrl: string;
const workers: Running[] = [];

async function startWorker(name: string): Promise<Running> {
  const options = [
    "--data",
    data,
    "--worker-data",
    join(data, name),
    "--listen",
    "127.0.0.1:0",
    "--control",
    controlUrl,
  ];
  // Not by `bun run worker`: killing that would kill a wrapper.
  const worker = run([bin("bun"), "worker/main.ts", ...options]);
  await worker.line("worker ready on ");
  workers.push(worker);
  return worker;
}

const manybase = (...words: string[]) =>
  finish([bin("bun"), "run", "--silent", "manybase", ...words, "--json"], {
    MANYBASE_CONTROL: gatewayUrl.replace("127.0.0.1", "admin.localhost"),
    MANYBASE_TOKEN: token,
  });

const tenantUrl = (slug: string): string => gatewayUrl.replace("127.0.0.1", `${slug}.localhost`);

beforeAll(async () => {
  mkdirSync(data, { recursive: true });
  control = run([bin("bun"), "run", "control", "--data", data, "--listen", "127.0.0.1:0"], {
    MANYBASE_OPERATOR_TOKEN: token,
  });
  controlUrl = await control.line("control ready on ");
  await startWorker("worker-a");
  const gateway = run([bin("deno"), "run", "gateway", "--listen", "127.0.0.1:0", "--control", controlUrl], {
    MANYBASE_GATEWAY_KEY: await Bun.file(join(data, "keys/gateway.key")).text(),
  });
  gatewayUrl = await gateway.line("gateway ready on ");
});

afterAll(async () => {
  await killAll();
  rmSync(data, { recursive: true, force: true });
});

/** What the rate limits of all tenants look like in the logs, by way of the object store alone. */
async function loggedLimits(): Promise<string[]> {
  const store = await openObjectStore(`file:${join(data, "store")}`, {});
  const found: string[] = [];
  for await (const { key } of listAll(store, { prefix: workersPrefix })) {
    const bytes = key.endsWith(".wlog") ? await getBytes(store, key) : undefined;
    if (bytes === undefined) continue;
    for (const entry of decodeLogObject(bytes).entries) {
      if (entry.kind === "state") found.push(decodeState(entry.body)["rate-limits"] ?? "");
    }
  }
  return found;
}

/** @throws while nobody serves the tenant */
async function health(): Promise<number> {
  const { status } = await fetch(`${tenantUrl("limited")}/api/health`);
  if (status >= 500) throw new Error(`answered with ${status}`);
  return status;
}

test("what a client has used up of a rate limit is in the log a moment later", async () => {
  expect((await manybase("tenants", "create", "limited")).status).toBe(0);
  await manybase("tenants", "superuser", "limited", "root@example.com", "root-password-1");
  const client = new PocketBase(tenantUrl("limited"));
  await client.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
  const rules = [{ label: "/api/health", audience: "", duration: 24 * 60 * 60, maxRequests: 3 }];
  await client.settings.update({ rateLimits: { enabled: true, rules } });
  expect([await health(), await health(), await health(), await health()]).toEqual([200, 200, 200, 429]);
  // Of a window: its key, how many tries are left, when, how long.
  while (!(await loggedLimits()).some((text) => /^\w+:0:\d+:86400000$/.test(text))) await Bun.sleep(50);
});

test("every acknowledged create survives kill -9 of its worker, and none is there twice", async () => {
  expect((await manybase("tenants", "create", "acme")).status).toBe(0);
  expect((await manybase("tenants", "superuser", "acme", "root@example.com", "root-password-1")).status).toBe(
    0,
  );
  const client = new PocketBase(tenantUrl("acme"));
  client.autoCancellation(false);
  await client.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
  await client.collections.create({
    name: "notes",
    type: "base",
    fields: [{ name: "n", type: "number" }],
  });
  await startWorker("worker-b");

  const acknowledged = new Set<string>();
  const open = new Set<string>();
  let next = 0;
  const creator = async (): Promise<void> => {
    while (acknowledged.size < 200) {
      const n = next++;
      const id = `note${String(n).padStart(11, "0")}`;
      if (n === 60) workers[0]?.kill("SIGKILL");
      try {
        await client.collection("notes").create({ id, n });
        acknowledged.add(id);
      } catch (error) {
        // Its worker died while it ran: nobody was told that it is kept.
        expect([502, 503]).toContain((error as ClientResponseError).status);
        open.add(id);
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, creator));

  const kept = (await client.collection("notes").getFullList({ batch: 500 })).map(({ id }) => id);
  expect(new Set(kept).size).toBe(kept.length);
  expect([...acknowledged].filter((id) => !kept.includes(id))).toEqual([]);
  expect(kept.filter((id) => !acknowledged.has(id) && !open.has(id))).toEqual([]);
  expect(open.size).toBeLessThan(16);
  const listed = JSON.parse((await manybase("workers", "list")).output) as { state: string }[];
  expect(listed.filter(({ state }) => state === "live")).toHaveLength(1);
});

test("who had used up a rate limit is still refused after that kill", async () => {
  expect(await eventually(health)).toBe(429);
});

test("a worker that left cleanly leaves its tenants to the next one", async () => {
  const client = new PocketBase(tenantUrl("acme"));
  await client.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
  const before = (await client.collection("notes").getFullList({ batch: 500 })).length;
  const last = workers[1];
  last?.kill("SIGTERM");
  expect(await last?.exited).toBe(0);
  await startWorker("worker-c");
  const after = await eventually(
    async () => (await client.collection("notes").getFullList({ batch: 500 })).length,
  );
  expect(after).toBe(before);
  expect(await eventually(health)).toBe(429);
});

test("a worker refuses whoever comes without a grant", async () => {
  const listed = JSON.parse((await manybase("workers", "list")).output) as { state: string; url: string }[];
  const url = listed.find(({ state }) => state === "live")?.url;
  const answer = await fetch(`${url}/api/health`);
  expect(answer.status).toBe(401);
  expect(await answer.json()).toMatchObject({ error: { code: "unauthorized" } });
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toMatch(/^manybase_worker_tenants 2$/m);
  expect(metrics).toMatch(/^manybase_worker_store_requests_total\{kind="list",purpose="litestream"\} \d+$/m);
});
