/**
 * The records API over HTTP against the bare parts below it, as ratios of one run: `bun test/bench/records.ts`.
 * The load comes from another process; the server has this one.
 */
import { Database } from "bun:sqlite";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import PocketBase from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../../worker/app-testing.ts";
import { readClaims, signToken, verifyToken } from "../../worker/auth/jwt.ts";

interface Load {
  url: string;
  method: string;
  token: string;
  requests: number;
  clients: number;
}

const [mode, text] = process.argv.slice(2);
if (mode === "load" && text !== undefined) await runLoad(JSON.parse(text) as Load);
else await runBench();

/** Prints requests per second. */
async function runLoad({ url, method, token, requests, clients }: Load): Promise<void> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (token !== "") headers["authorization"] = token;
  const init: RequestInit =
    method === "POST" ? { method, headers, body: `{"title":"a title","views":5}` } : { headers };
  const drive = async (count: number): Promise<void> => {
    let left = count;
    const client = async (): Promise<void> => {
      while (left > 0) {
        const response = await fetch(url, init);
        // Async tenants refuse writes that would outrun the store too far: the rate is what gets through.
        if (response.status === 503) {
          await response.arrayBuffer();
          await Bun.sleep(2);
          continue;
        }
        left -= 1;
        if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
        await response.arrayBuffer();
      }
    };
    await Promise.all(Array.from({ length: clients }, client));
  };
  await drive(Math.ceil(requests / 5));
  const startMs = performance.now();
  await drive(requests);
  console.log(requests / ((performance.now() - startMs) / 1000));
}

async function load(load: Load): Promise<number> {
  const child = Bun.spawn([process.execPath, import.meta.path, "load", JSON.stringify(load)], {
    stdout: "pipe",
  });
  const rate = Number(await new Response(child.stdout).text());
  if ((await child.exited) !== 0) throw new Error("the load failed");
  return rate;
}

async function rateOf(count: number, task: (index: number) => unknown): Promise<number> {
  for (let index = 0; index < count / 5; index++) await task(-1 - index);
  const startMs = performance.now();
  for (let index = 0; index < count; index++) await task(index);
  return count / ((performance.now() - startMs) / 1000);
}

async function prepare(api: TestApi): Promise<{ token: string; id: string }> {
  const pb = new PocketBase(api.url);
  await pb.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  const fields = [
    { name: "title", type: "text" },
    { name: "views", type: "number" },
    { name: "done", type: "bool" },
    { name: "created", type: "autodate", onCreate: true },
  ];
  await pb.collections.create({
    name: "posts",
    type: "base",
    listRule: "",
    viewRule: "",
    createRule: "",
    fields,
  });
  let id = "";
  for (let index = 0; index < 40; index++)
    id = (await pb.collection("posts").create({ title: `t${index}`, views: index })).id;
  return { token: pb.authStore.token, id };
}

async function runBench(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "manybase-bench-"));
  const raw = new Database(join(directory, "raw.db"), { create: true });
  raw.run("PRAGMA journal_mode=WAL");
  raw.run("PRAGMA synchronous=OFF");
  raw.run(
    "CREATE TABLE posts (id TEXT PRIMARY KEY, title TEXT, views NUMERIC, done BOOLEAN, created TEXT, collectionId TEXT, collectionName TEXT)",
  );
  const insert = raw.prepare("INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?)");
  const commit = (): unknown =>
    insert.run(crypto.randomUUID(), "a title", 5, 0, "2026-01-01 00:00:00.000Z", "pbc_0123456789", "posts");
  const rawCommit = await rateOf(20_000, commit);
  const select = raw.prepare("SELECT * FROM posts LIMIT 30");
  const rawList = await rateOf(5_000, () => JSON.stringify(select.all()));
  const bare = Bun.serve({
    port: 0,
    fetch: () => new Response(bytes, { headers: { "content-type": "application/json" } }),
  });
  let bytes = "";

  const durable = await startTestApi("durable");
  const store = durable.tenant.objects;
  const body = crypto.getRandomValues(new Uint8Array(8192));
  const commitAndPut = await rateOf(200, async (index) => {
    commit();
    await store.put(`bench/${index + 1000}`, body);
  });
  await prepare(durable);
  const records = (api: TestApi): string => `${api.url}/api/collections/posts/records`;
  const create = { method: "POST", token: "" };
  const list = { method: "GET", token: "" };
  const durableOne = await load({ url: records(durable), ...create, requests: 200, clients: 1 });
  const durableMany = await load({ url: records(durable), ...create, requests: 4_000, clients: 256 });
  await durable.close();

  const fast = await startTestApi("async");
  const { token, id } = await prepare(fast);
  const listRate = await load({ url: `${records(fast)}?skipTotal=1`, ...list, requests: 4_000, clients: 8 });
  const listTotalRate = await load({ url: records(fast), ...list, token, requests: 4_000, clients: 8 });
  bytes = await (await fetch(`${records(fast)}/${id}`)).text();
  const bareRate = await load({
    url: `http://127.0.0.1:${bare.port}/`,
    ...list,
    requests: 10_000,
    clients: 8,
  });
  const getRate = await load({ url: `${records(fast)}/${id}`, ...list, requests: 10_000, clients: 8 });
  const asyncCreate = await load({ url: records(fast), ...create, requests: 6_000, clients: 8 });
  const asyncMany = await load({ url: records(fast), ...create, requests: 6_000, clients: 256 });
  await fast.close();

  const key = "k".repeat(100);
  const signed = signToken(
    { id: "a".repeat(15), type: "auth", collectionId: "_pb_users_auth_", exp: 4e9 },
    key,
  );
  const verify = await rateOf(50_000, () => verifyToken(signed, readClaims(signed) ?? {}, key, Date.now()));
  await bare.stop(true);
  raw.close();
  rmSync(directory, { recursive: true, force: true });

  const rows: [string, number, number, string][] = [
    ["durable create, 1 client: times the raw commit + put", commitAndPut / durableOne, 3, "at most"],
    ["list of 30: of raw statement + JSON", listRate / rawList, 0.2, "at least"],
    ["list of 30 with total and token: of raw statement + JSON", listTotalRate / rawList, 0.2, "at least"],
    ["async create: of raw autocommit", asyncCreate / rawCommit, 0.12, "at least"],
    ["get by id: of a bare server with the same bytes", getRate / bareRate, 0.3, "at least"],
    ["durable create at 256 clients: of async", durableMany / asyncMany, 0.8, "at least"],
    ["tokens verified per second", verify, 100_000, "at least"],
  ];
  for (const [name, value, goal, kind] of rows) {
    const reached = kind === "at most" ? value <= goal : value >= goal;
    console.log(`${reached ? "reached" : "MISSED "} ${name}: ${value.toFixed(2)} (${kind} ${goal})`);
  }
  const perSecond = {
    rawCommit,
    commitAndPut,
    durableOne,
    durableMany,
    rawList,
    listRate,
    listTotalRate,
    bareRate,
    getRate,
    asyncCreate,
    asyncMany,
  };
  console.log(Object.fromEntries(Object.entries(perSecond).map(([name, rate]) => [name, Math.round(rate)])));
}
