/**
 * The records API of a worker beside a real PocketBase, both alone on this machine in turn, by the same load:
 * `bun test/bench/pocketbase.ts <pocketbase binary>`. Prints requests per second and how many times PocketBase's they are.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import PocketBase from "pocketbase";
import { SUPERUSER, startTestApi } from "../../worker/app-testing.ts";
import { type Load, runLoad } from "./raw-load.ts";

const ROUNDS = 3;
const ROUND_MS = 1_000;
const START_MS_MAX = 30_000;
const FILTER = "author.team.name = 'team 3' && views > 100";

interface Server {
  url: string;
  stop(): Promise<void>;
}

const [mode, text] = process.argv.slice(2);
if (mode === "load" && text !== undefined) console.log(await runLoad(JSON.parse(text) as Load));
else if (mode === "serve") await serve(text === "async" ? "async" : "durable");
else if (mode === undefined || !existsSync(mode)) {
  console.log("not measured: give the path of a PocketBase binary as the argument");
} else await compare(mode);

async function serve(durability: "async" | "durable"): Promise<never> {
  const api = await startTestApi(durability);
  console.log(api.url);
  return new Promise(() => {});
}

async function startWorker(durability: "async" | "durable"): Promise<Server> {
  const child = Bun.spawn([process.execPath, import.meta.path, "serve", durability], { stdout: "pipe" });
  const { value } = await child.stdout.getReader().read();
  return { url: new TextDecoder().decode(value).trim(), stop: () => ended(child) };
}

async function startPocketBase(binary: string, directory: string): Promise<Server> {
  const data = ["--dir", join(directory, "pb_data")];
  const quiet = { stdout: "ignore", stderr: "ignore" } as const;
  const { email, password } = SUPERUSER;
  await Bun.spawn([binary, "superuser", "upsert", email, password, ...data], quiet).exited;
  const free = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
  const url = `http://127.0.0.1:${free.port}`;
  await free.stop(true);
  const child = Bun.spawn([binary, "serve", "--http", url.slice("http://".length), ...data], quiet);
  for (const untilMs = Date.now() + START_MS_MAX; Date.now() < untilMs; await Bun.sleep(100)) {
    const answer = await fetch(`${url}/api/health`).catch(() => undefined);
    if (answer?.ok === true) return { url, stop: () => ended(child) };
  }
  await ended(child);
  throw new Error(`Cannot compare: ${binary} does not answer at ${url}`);
}

async function ended(child: Bun.Subprocess): Promise<void> {
  child.kill("SIGKILL");
  await child.exited;
}

async function load(given: Omit<Load, "ms" | "token">): Promise<number> {
  const task = JSON.stringify({ ...given, token: "", ms: ROUND_MS });
  const child = Bun.spawn([process.execPath, import.meta.path, "load", task], { stdout: "pipe" });
  const rate = Number(await new Response(child.stdout).text());
  if ((await child.exited) !== 0) throw new Error("the load failed");
  return rate;
}

/** Teams of authors of posts. @returns the id of a post */
async function fill(url: string): Promise<string> {
  const pb = new PocketBase(url);
  pb.autoCancellation(false);
  await pb.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  const open = { type: "base", listRule: "", viewRule: "", createRule: "", updateRule: "" };
  const relation = (name: string, collectionId: string): object => ({
    ...{ name, collectionId, type: "relation", maxSelect: 1 },
  });
  const name = { name: "name", type: "text" };
  const teams = await pb.collections.create({ ...open, name: "teams", fields: [name] });
  const authors = await pb.collections.create({
    ...open,
    name: "authors",
    fields: [name, relation("team", teams.id)],
  });
  await pb.collections.create({
    ...open,
    name: "posts",
    fields: [
      { name: "title", type: "text" },
      { name: "views", type: "number" },
      { name: "done", type: "bool" },
      relation("author", authors.id),
      { name: "created", type: "autodate", onCreate: true },
    ],
  });
  const create = (collection: string, count: number, of: (i: number) => object): Promise<string[]> =>
    Promise.all(
      Array.from({ length: count }, async (_, i) => (await pb.collection(collection).create(of(i))).id),
    );
  const teamIds = await create("teams", 5, (i) => ({ name: `team ${i}` }));
  const authorIds = await create("authors", 50, (i) => ({ name: `author ${i}`, team: teamIds[i % 5] }));
  const postIds = await create("posts", 500, (i) => ({
    title: `t${i}`,
    views: i,
    author: authorIds[i % 50],
  }));
  return postIds[0] ?? "";
}

async function measure(server: Server): Promise<Record<string, number>> {
  const id = await fill(server.url);
  const posts = `${server.url}/api/collections/posts/records`;
  const get = (path: string): Omit<Load, "ms" | "token"> => ({
    ...{ url: posts + path, method: "GET", clients: 8 },
  });
  const create = (clients: number): Omit<Load, "ms" | "token"> => ({
    ...{ url: posts, method: "POST", body: `{"title":"a title","views":5}`, clients },
  });
  const loads: Record<string, Omit<Load, "ms" | "token">> = {
    "get by id": get(`/${id}`),
    "list of 30": get("?skipTotal=1"),
    "list of 30 with total": get(""),
    "filter and sort over two joins": get(`?sort=-views&filter=${encodeURIComponent(FILTER)}`),
    "list of 30 that expands two relations": get("?expand=author.team"),
    "create, 1 client": create(1),
    "create, 8 clients": create(8),
    "create, 256 clients": create(256),
  };
  const best: Record<string, number> = {};
  for (let round = 0; round < ROUNDS; round++) {
    for (const [what, task] of Object.entries(loads)) {
      best[what] = Math.max(best[what] ?? 0, await load(task));
    }
  }
  return best;
}

async function compare(binary: string): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "manybase-bench-"));
  const rates: Record<string, number>[] = [];
  try {
    for (const start of [
      () => startPocketBase(binary, directory),
      () => startWorker("async"),
      () => startWorker("durable"),
    ]) {
      const server = await start();
      try {
        rates.push(await measure(server));
      } finally {
        await server.stop();
      }
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  const [theirs = {}, ...ours] = rates;
  for (const [what, rate] of Object.entries(theirs)) {
    const [async = "", durable = ""] = ours.map((own) => {
      const mine = own[what] ?? 0;
      return `${mine.toFixed(0)}/s (${(mine / rate).toFixed(1)}x)`;
    });
    console.log(`${what}: PocketBase ${rate.toFixed(0)}/s, async ${async}, durable ${durable}`);
  }
}
