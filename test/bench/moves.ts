/**
 * Planned moves and a drain on real processes (control, two workers, the gateway), under load through the gateway.
 *
 *   bun test/bench/moves.ts --tenants 200 --mebibytes 100 --rate 200
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseOptions } from "../../shared/options.ts";
import { temporaryDirectory } from "../e2e/all-in-one.ts";
import { type Running, bin, killAll, run } from "../e2e/process.ts";

const OPTIONS = {
  tenants: {
    value: "<n>",
    default: "200",
    help: "Tenants before the drain, about half of them on the drained worker.",
  },
  mebibytes: { value: "<n>", default: "100", help: "Size of the moved tenant." },
  rate: { value: "<n>", default: "200", help: "Requests a second to the moved tenant." },
  moves: { value: "<n>", default: "6", help: "Moves of it." },
};
const PAUSE_MS_MAX = 300;
const FAILOVER_MS = { p50: 2_000, p99: 3_000 };
const { values } = parseOptions(OPTIONS, process.argv.slice(2), {});
const tenants = Number(values.tenants);
const data = temporaryDirectory();
const token = `mbo_${"t".repeat(40)}`;
const USER = { email: "root@example.com", password: "root-password-1" };

try {
  await main();
} finally {
  await killAll();
  rmSync(data, { recursive: true, force: true });
}

async function main(): Promise<void> {
  mkdirSync(data, { recursive: true });
  const control = run([bin("bun"), "control/main.ts", "--data", data, "--listen", "127.0.0.1:0"], {
    MANYBASE_OPERATOR_TOKEN: token,
  });
  const controlUrl = await control.line("control ready on ");
  const workers = new Map<string, Running>();
  const startWorker = async (name: string): Promise<void> => {
    const worker = run([
      bin("bun"),
      "worker/main.ts",
      ...["--data", data, "--worker-data", join(data, name), "--listen", "127.0.0.1:0"],
      ...["--control", controlUrl],
    ]);
    workers.set(await worker.line("worker ready on "), worker);
  };
  await startWorker("a");
  const key = await Bun.file(join(data, "keys/gateway.key")).text();
  const gatewayUrl = await run(
    [bin("deno"), "run", "gateway", "--listen", "127.0.0.1:0", "--control", controlUrl],
    { MANYBASE_GATEWAY_KEY: key },
  ).line("gateway ready on ");

  const cp = async (method: string, path: string, body?: unknown): Promise<Record<string, unknown>> => {
    const answer = await fetch(`${controlUrl}/api/cp${path}`, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const result = (await answer.json()) as Record<string, unknown>;
    if (!answer.ok) throw new Error(`${method} ${path}: ${JSON.stringify(result)}`);
    return result;
  };
  const tenant = async (slug: string): Promise<Client> => {
    await cp("POST", "/tenants", { slug });
    await cp("POST", `/tenants/${slug}/superusers`, USER);
    const client = new Client(gatewayUrl, slug);
    await client.start();
    return client;
  };

  const big = await tenant("big");
  await big.fill(Number(values.mebibytes));
  await startWorker("b");
  const pausesMs: number[] = [];
  await big.load(Number(values.rate), async () => {
    await Bun.sleep(1_000);
    const quietSinceMs = performance.now();
    await Bun.sleep(3_000);
    const quietMs = big.longestSince(quietSinceMs);
    process.stdout.write(`  no move for 3 s: longest request ${Math.round(quietMs)} ms\n`);
    for (let i = 0; i < Number(values.moves); i++) {
      const startedMs = performance.now();
      await cp("POST", "/tenants/big/move");
      const tookMs = performance.now() - startedMs;
      await Bun.sleep(1_500);
      const pauseMs = big.longestSince(startedMs);
      pausesMs.push(pauseMs);
      process.stdout.write(
        `  move ${i + 1}: ${Math.round(tookMs)} ms, longest request ${Math.round(pauseMs)} ms\n`,
      );
    }
  });
  process.stdout.write(
    `  longest pause of a move: ${Math.round(Math.max(...pausesMs))} ms, ` +
      `${(Math.max(...pausesMs) / PAUSE_MS_MAX).toFixed(2)} of the ${PAUSE_MS_MAX} ms it may be\n`,
  );
  big.report(`planned moves of ${values.mebibytes} MiB at ${values.rate} requests/s`);

  const clients: Client[] = [];
  const names = Array.from({ length: tenants }, (_, i) => `t-${i}`).values();
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (const name of names) clients.push(await tenant(name));
    }),
  );
  const views = async (): Promise<WorkerRow[]> =>
    ((await cp("GET", "/workers")) as unknown as { workers: WorkerRow[] }).workers;
  const [full] = (await views()).toSorted((a, b) => b.tenants - a.tenants);
  let drainMs = 0;
  const drain = async (): Promise<void> => {
    await Bun.sleep(1_000);
    const startedMs = performance.now();
    await cp("POST", `/workers/${full?.incarnation}/drain`);
    while (Number((await cp("GET", `/workers/${full?.incarnation}`))["tenants"]) > 0) await Bun.sleep(20);
    drainMs = performance.now() - startedMs;
    await Bun.sleep(1_000);
  };
  const draining = drain();
  await Promise.all(clients.map((client) => client.load(1, () => draining)));
  const all = Client.together(clients);
  all.report(`drain of ${full?.tenants} tenants in ${Math.round(drainMs)} ms, 1 request/s each`);
  await startWorker("c");
  const [victim] = (await views()).toSorted((a, b) => b.tenants - a.tenants);
  const dying = workers.get(victim?.url ?? "");
  if (dying !== undefined) await failover(clients, dying);
}

interface WorkerRow {
  incarnation: number;
  tenants: number;
  url: string;
}

/** All tenants are on one worker, which dies; another is there. Each tenant's client writes at once, and again until it is acknowledged. */
async function failover(clients: readonly Client[], victim: Running): Promise<void> {
  victim.kill("SIGKILL");
  const killedMs = performance.now();
  const times = await Promise.all(clients.map((client) => client.untilWritten(killedMs)));
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
  let lost = 0;
  for (const client of clients) lost += await client.lost();
  process.stdout.write(
    `failover of ${clients.length} tenants: first acknowledged write elsewhere p50 ${at(0.5)} ms ` +
      `(${(at(0.5) / FAILOVER_MS.p50).toFixed(2)} of ${FAILOVER_MS.p50}), p99 ${at(0.99)} ms ` +
      `(${(at(0.99) / FAILOVER_MS.p99).toFixed(2)} of ${FAILOVER_MS.p99}), longest ${at(1)} ms; ${lost} acknowledged writes lost\n`,
  );
}

/** Requests at a fixed rate, half of them writes, with what became of them. */
class Client {
  readonly #url: string;
  readonly #host: string;
  #authorization = "";
  timesMs: number[] = [];
  /** When each of them began. */
  begunMs: number[] = [];
  failures: string[] = [];
  acknowledged = 0;
  kept = 0;

  constructor(gatewayUrl: string, slug: string) {
    this.#url = gatewayUrl;
    this.#host = `${slug}.localhost:${new URL(gatewayUrl).port}`;
  }

  static together(clients: readonly Client[]): Client {
    const all = new Client("http://localhost", "all");
    for (const one of clients) {
      all.timesMs.push(...one.timesMs);
      all.failures.push(...one.failures);
      all.acknowledged += one.acknowledged;
      all.kept += one.kept;
    }
    return all;
  }

  async start(): Promise<void> {
    const { token } = await this.#send("POST", "/api/collections/_superusers/auth-with-password", {
      identity: USER.email,
      password: USER.password,
    });
    this.#authorization = String(token);
    const fields = [{ name: "text", type: "text", max: 2_000_000 }];
    await this.#send("POST", "/api/collections", { name: "notes", type: "base", fields });
    await this.#send("POST", "/api/collections", { name: "marks", type: "base", fields });
  }

  async fill(mebibytes: number): Promise<void> {
    const texts = Array.from({ length: mebibytes * 86 }, () =>
      Buffer.from(crypto.getRandomValues(new Uint8Array(6_000))).toString("hex"),
    ).values();
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        for (const text of texts) await this.#send("POST", "/api/collections/notes/records", { text });
      }),
    );
  }

  /** Until `during` ends. */
  async load(rate: number, during: () => Promise<void>): Promise<void> {
    let running = true;
    const ended = during().finally(() => (running = false));
    const open: Promise<void>[] = [];
    for (let i = 0; running; i++) {
      open.push(this.#one(i));
      await Bun.sleep(1_000 / rate);
    }
    await ended;
    await Promise.all(open);
    const { totalItems } = await this.#send("GET", "/api/collections/marks/records?perPage=1");
    this.kept = Number(totalItems);
  }

  /** Of requests that began since then. */
  longestSince(sinceMs: number): number {
    return Math.max(0, ...this.timesMs.filter((_, i) => (this.begunMs[i] ?? 0) >= sinceMs - 1_000));
  }

  /** @returns how long after `sinceMs` a write was acknowledged */
  async untilWritten(sinceMs: number): Promise<number> {
    for (;;) {
      try {
        await this.#send("POST", "/api/collections/marks/records", { text: "after" });
        this.acknowledged++;
        return performance.now() - sinceMs;
      } catch {
        await Bun.sleep(25);
      }
    }
  }

  /** Acknowledged writes that are not there. */
  async lost(): Promise<number> {
    const { totalItems } = await this.#send("GET", "/api/collections/marks/records?perPage=1");
    return Math.max(0, this.acknowledged - Number(totalItems));
  }

  report(title: string): void {
    const sorted = this.timesMs.toSorted((a, b) => a - b);
    const at = (share: number): number => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
    const lost = Math.max(0, this.acknowledged - this.kept);
    process.stdout.write(
      `${title}: ${sorted.length} requests, ${this.failures.length} failed, ${lost} acknowledged writes lost; ` +
        `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms\n`,
    );
    for (const failure of this.failures.slice(0, 5)) process.stdout.write(`  ${failure}\n`);
  }

  async #one(i: number): Promise<void> {
    const startedMs = performance.now();
    try {
      if (i % 2 === 0) {
        await this.#send("POST", "/api/collections/marks/records", { text: String(i) });
        this.acknowledged++;
      } else await this.#send("GET", "/api/collections/marks/records?perPage=1");
    } catch (error) {
      this.failures.push(String(error));
    }
    this.timesMs.push(performance.now() - startedMs);
    this.begunMs.push(startedMs);
  }

  async #send(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const answer = await fetch(this.#url + path, {
      method,
      headers: {
        host: this.#host,
        "content-type": "application/json",
        ...(this.#authorization === "" ? {} : { authorization: this.#authorization }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 200)}`);
    return JSON.parse(text) as Record<string, unknown>;
  }
}
