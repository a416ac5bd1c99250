import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import PocketBase from "pocketbase";
import { temporaryDirectory } from "./all-in-one.ts";
import { type Running, bin, eventually, finish, killAll, run } from "./process.ts";

/** Planned moves and drains under continuous requests of the official SDK, through the gateway, with every part a process. */
const data = temporaryDirectory();
const token = `mbo_${"t".repeat(40)}`;
const SLUGS = Array.from({ length: 12 }, (_, i) => `tenant-${i}`);
let control: Running;
let controlUrl: string;
let gatewayUrl: string;

interface WorkerLine {
  incarnation: number;
  state: string;
  tenants: number;
}

async function startControl(listen: string): Promise<Running> {
  const started = run([bin("bun"), "control/main.ts", "--data", data, "--listen", listen], {
    MANYBASE_OPERATOR_TOKEN: token,
  });
  controlUrl = await started.line("control ready on ");
  return started;
}

async function startWorker(name: string): Promise<Running> {
  const place = ["--data", data, "--worker-data", join(data, name)];
  const worker = run([
    bin("bun"),
    "worker/main.ts",
    ...place,
    "--listen",
    "127.0.0.1:0",
    "--control",
    controlUrl,
  ]);
  await worker.line("worker ready on ");
  return worker;
}

const manybase = async (...words: string[]): Promise<unknown> => {
  const { status, output, errors } = await finish([bin("bun"), "scripts/manybase.ts", ...words, "--json"], {
    MANYBASE_CONTROL: gatewayUrl.replace("127.0.0.1", "admin.localhost"),
    MANYBASE_TOKEN: token,
  });
  if (status !== 0) throw new Error(`${words.join(" ")}: ${errors}`);
  return JSON.parse(output) as unknown;
};
const workers = async (): Promise<WorkerLine[]> =>
  ((await manybase("workers", "list")) as WorkerLine[]).filter(({ state }) => state === "live");
const tenantUrl = (slug: string): string => gatewayUrl.replace("127.0.0.1", `${slug}.localhost`);

beforeAll(async () => {
  mkdirSync(data, { recursive: true });
  control = await startControl("127.0.0.1:0");
  await startWorker("worker-a");
  const gateway = run([bin("deno"), "run", "gateway", "--listen", "127.0.0.1:0", "--control", controlUrl], {
    MANYBASE_GATEWAY_KEY: await Bun.file(join(data, "keys/gateway.key")).text(),
  });
  gatewayUrl = await gateway.line("gateway ready on ");
  for (const slug of SLUGS) {
    await manybase("tenants", "create", slug);
    await manybase("tenants", "superuser", slug, "root@example.com", "root-password-1");
  }
  await startWorker("worker-b");
}, 120_000);

afterAll(async () => {
  await killAll();
  rmSync(data, { recursive: true, force: true });
});

/** Creates and reads in a tenant without a break until told to stop. */
class Load {
  readonly slug: string;
  readonly acknowledged: string[] = [];
  readonly failures: string[] = [];
  longestPauseMs = 0;
  requests = 0;
  #running = true;
  #client: PocketBase;
  #loops: Promise<void>[] = [];

  constructor(slug: string) {
    this.slug = slug;
    this.#client = new PocketBase(tenantUrl(slug));
    this.#client.autoCancellation(false);
  }

  async start(): Promise<this> {
    await this.#client.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
    const names = (await this.#client.collections.getFullList()).map(({ name }) => name);
    if (!names.includes("notes")) {
      const fields = [{ name: "n", type: "number" }];
      await this.#client.collections.create({ name: "notes", type: "base", fields });
    }
    this.#loops = [this.#create(), this.#read()];
    return this;
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#loops);
  }

  async kept(): Promise<string[]> {
    return (await this.#client.collection("notes").getFullList({ batch: 1_000 })).map(({ id }) => id);
  }

  #create(): Promise<void> {
    return this.#loop(async () => {
      this.acknowledged.push((await this.#client.collection("notes").create({ n: this.requests })).id);
    });
  }

  #read(): Promise<void> {
    return this.#loop(async () => {
      await this.#client.collection("notes").getList(1, 5);
    });
  }

  async #loop(request: () => Promise<void>): Promise<void> {
    while (this.#running) {
      const startedMs = performance.now();
      this.requests++;
      await request().catch((error: unknown) => this.failures.push(JSON.stringify(error)));
      this.longestPauseMs = Math.max(this.longestPauseMs, performance.now() - startedMs);
      await Bun.sleep(10);
    }
  }
}

async function verify(title: string, loads: Load[]): Promise<void> {
  // However slow the machine is, there must have been a load.
  await eventually(() => {
    for (const load of loads) expect(load.acknowledged.length).toBeGreaterThan(10);
  });
  await Promise.all(loads.map((load) => load.stop()));
  expect(loads.flatMap(({ failures }) => failures)).toEqual([]);
  for (const load of loads) {
    const kept = await load.kept();
    expect(new Set(kept).size).toBe(kept.length);
    const there = new Set(kept);
    expect(load.acknowledged.filter((id) => !there.has(id))).toEqual([]);
  }
  const pauses = loads.map(({ longestPauseMs }) => Math.round(longestPauseMs)).sort((a, b) => a - b);
  const requests = loads.reduce((sum, load) => sum + load.requests, 0);
  process.stdout.write(
    `${title}: ${requests} requests, 0 failed; longest request per tenant: median ${pauses[pauses.length >> 1]} ms, longest ${pauses.at(-1)} ms\n`,
  );
}

test("planned moves under load: no request fails, nothing is lost", async () => {
  const loads = await Promise.all(SLUGS.slice(0, 3).map((slug) => new Load(slug).start()));
  const [a, b] = (await workers()).map(({ incarnation }) => String(incarnation));
  await Bun.sleep(300);
  for (let round = 0; round < 4; round++) {
    for (const { slug } of loads) {
      const tenant = (await manybase("tenants", "get", slug)) as { worker: number };
      const to = String(tenant.worker) === a ? b : a;
      expect(await manybase("tenants", "move", slug, to ?? "")).toMatchObject({ worker: Number(to) });
    }
  }
  await verify("12 planned moves", loads);
  // Each target had fetched the tenant before its owner let go, and used what it had; rebalancing may have moved others.
  expect(await counted("prewarms_used")).toBeGreaterThanOrEqual(12);
}, 120_000);

/** The sum of a counter over all live workers. */
async function counted(name: string): Promise<number> {
  const listed = (await manybase("workers", "list")) as (WorkerLine & { url: string })[];
  let sum = 0;
  for (const { url } of listed.filter(({ state }) => state === "live")) {
    const text = await (await fetch(`${url}/metrics`)).text();
    sum += Number(new RegExp(`^\\w*${name}\\S* (\\d+)`, "m").exec(text)?.[1] ?? 0);
  }
  return sum;
}

/** Asks control itself, because the tool takes longer to start than a drain to end. */
async function drain(incarnation: number): Promise<void> {
  const answer = await fetch(`${controlUrl}/api/cp/workers/${incarnation}/drain`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
  });
  expect(answer.status).toBe(200);
}

async function drained(incarnation: number): Promise<void> {
  await eventually(async () => {
    const listed = (await manybase("workers", "list")) as WorkerLine[];
    const worker = listed.find((one) => one.incarnation === incarnation);
    expect(worker).toMatchObject({ state: "draining", tenants: 0 });
  }, 30_000);
}

const fullest = async (): Promise<WorkerLine> => {
  const [full] = (await workers()).toSorted((x, y) => y.tenants - x.tenants);
  if (full === undefined) throw new Error("no worker is live");
  expect(full.tenants).toBeGreaterThan(3);
  return full;
};

test("a worker is drained under load: no request fails, nothing is lost", async () => {
  const loads = await Promise.all(SLUGS.map((slug) => new Load(slug).start()));
  await Bun.sleep(300);
  const { incarnation, tenants } = await fullest();
  await drain(incarnation);
  await drained(incarnation);
  await Bun.sleep(200);
  await verify(`drain of ${tenants} tenants`, loads);
}, 120_000);

test("control is killed in the middle of a drain and goes on with it: no request fails, nothing is lost", async () => {
  await startWorker("worker-c");
  const loads = await Promise.all(SLUGS.map((slug) => new Load(slug).start()));
  await Bun.sleep(300);
  const { incarnation, tenants } = await fullest();
  await drain(incarnation);
  await Bun.sleep(30);
  control.kill("SIGKILL");
  await control.exited;
  const killedAt = new Date().toISOString();
  control = await startControl(new URL(controlUrl).host);
  await drained(incarnation);
  await Bun.sleep(200);
  const { entries } = (await manybase("platform", "audit", "--limit", "500")) as {
    entries: { at: string; action: string; details: { why?: string; from?: number } }[];
  };
  const later = entries.filter(
    ({ at, action, details }) =>
      at > killedAt && /tenant.(move|evict)/.test(action) && details.from === incarnation,
  );
  expect(later.length).toBeGreaterThan(0);
  await verify(`drain of ${tenants} tenants, ${later.length} after control was killed`, loads);
}, 120_000);

test("a worker is stopped by SIGTERM under load: no request fails, nothing is lost", async () => {
  const last = (await workers())[0];
  const next = await startWorker("worker-d");
  await drain(last?.incarnation ?? 0);
  await drained(last?.incarnation ?? 0);
  await startWorker("worker-e");
  const loads = await Promise.all(SLUGS.map((slug) => new Load(slug).start()));
  await Bun.sleep(300);
  const { tenants } = await fullest();
  next.kill("SIGTERM");
  expect(await next.exited).toBe(0);
  await Bun.sleep(500);
  await verify(`SIGTERM of a worker with ${tenants} tenants`, loads);
}, 120_000);
