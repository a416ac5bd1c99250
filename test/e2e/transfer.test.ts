/** Whole tenants in and out through the whole platform: data directories, tars, Litestream's layouts. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import PocketBase from "pocketbase";
import { hydrate } from "../oracles/litestream-vfs.ts";
import { restoreByLitestream } from "../oracles/litestream-v3.ts";
import { type AllInOne, startAllInOne, temporaryDirectory } from "./all-in-one.ts";
import { killAll } from "./process.ts";

setDefaultTimeout(60_000);

const data = temporaryDirectory();
const out = temporaryDirectory();
const content = crypto.getRandomValues(new Uint8Array(50_000));
let platform: AllInOne;

async function signedIn(slug: string): Promise<PocketBase> {
  const client = new PocketBase(platform.url(slug));
  client.autoCancellation(false);
  await client.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
  return client;
}

async function run(...words: string[]): Promise<string> {
  const { status, output, errors } = await platform.manybase(...words);
  expect({ status, errors }).toEqual({ status: 0, errors: "" });
  return output;
}

beforeAll(async () => {
  platform = await startAllInOne(data);
  await run("tenants", "create", "acme");
  await run("tenants", "superuser", "acme", "root@example.com", "root-password-1");
  const root = await signedIn("acme");
  await root.collections.create({
    name: "notes",
    type: "base",
    fields: [
      { name: "text", type: "text" },
      { name: "file", type: "file", maxSelect: 1 },
    ],
  });
  for (let i = 0; i < 20; i++) await root.collection("notes").create({ text: `note ${i}` });
  await root.collection("notes").create({ text: "with a file", file: new File([content], "a.bin") });
  // Request logs are written some seconds later.
  while ((await root.logs.getList(1, 1)).totalItems === 0) await Bun.sleep(100);
});

afterAll(async () => {
  await killAll();
  rmSync(data, { recursive: true, force: true });
  rmSync(out, { recursive: true, force: true });
});

/** What a tenant made of an export must show: the same records, the same file, the same superuser. */
async function expectSame(slug: string): Promise<void> {
  const [source, copy] = [await signedIn("acme"), await signedIn(slug)];
  const [wanted, found] = await Promise.all(
    [source, copy].map((client) => client.collection("notes").getFullList({ sort: "id" })),
  );
  expect(found).toEqual(wanted as never);
  const record = found?.find(({ text }) => text === "with a file");
  const file = await fetch(copy.files.getURL(record ?? {}, String(record?.["file"])));
  expect(new Uint8Array(await file.arrayBuffer())).toEqual(content);
}

test("a data directory comes out and goes in again", async () => {
  const target = join(out, "pb_data");
  expect(await run("tenants", "export", "acme", target, "--logs")).toContain(
    "data.db and auxiliary.db at TXID",
  );
  expect(readdirSync(target).toSorted()).toEqual(["auxiliary.db", "data.db", "storage"]);
  await run("tenants", "import", "from-directory", target);
  await expectSame("from-directory");
  const tar = join(out, "acme.tar");
  await run("tenants", "export", "acme", tar);
  const listed = Bun.spawnSync(["tar", "tf", tar]).stdout.toString().trim().split("\n");
  expect(listed).toEqual([
    "data.db",
    expect.stringMatching(/^storage\/.*[^/]$/),
    // What PocketBase keeps of an upload beside it.
    expect.stringMatching(/^storage\/.*\.attrs$/),
  ]);
});

test("Litestream's layouts are read by Litestream, and go in again", async () => {
  const [five, three] = [join(out, "litestream"), join(out, "litestream-v0.3")];
  await run("tenants", "export", "acme", five, "--layout", "litestream");
  await run("tenants", "export", "acme", three, "--layout", "litestream-v0.3");
  const [hydrated, restored] = [join(out, "hydrated.db"), join(out, "restored.db")];
  expect(await hydrate(join(five, "data.db"), hydrated, "SELECT count(*) AS n FROM notes")).toEqual([
    '{"n":21}',
  ]);
  await restoreByLitestream(join(three, "data.db"), restored);
  expect(await run("tenants", "import", "from-five", five)).toContain(
    "Litestream 0.5, 1 LTX files up to TXID",
  );
  await expectSame("from-five");
  await run("tenants", "import", "from-three", join(three, "data.db"), "--storage", join(three, "storage"));
  await expectSame("from-three");
  for (const [name, path] of [
    ["hydrated", hydrated],
    ["restored", restored],
  ] as const) {
    mkdirSync(join(out, name));
    writeFileSync(join(out, name, "data.db"), await Bun.file(path).bytes());
    await run("tenants", "import", name, join(out, name), "--storage", join(five, "storage"));
    await expectSame(name);
  }
});

test("nothing is overwritten, and a failure leaves nothing behind", async () => {
  const before = readdirSync(out).toSorted();
  const again = await platform.manybase("tenants", "export", "acme", join(out, "pb_data"));
  expect(again.status).toBe(1);
  expect(again.errors).toContain("something is there already");
  for (const words of [
    ["nobody", join(out, "nobody")],
    ["acme", join(out, "x"), "--layout", "zip"],
    ["acme", join(out, "x.tar"), "--layout", "litestream"],
  ]) {
    expect((await platform.manybase("tenants", "export", ...words)).status).toBe(1);
  }
  expect(readdirSync(out).toSorted()).toEqual(before);
  const bad = join(out, "bad");
  mkdirSync(bad);
  writeFileSync(join(bad, "data.db"), "no database");
  const refused = await platform.manybase("tenants", "import", "acme", bad);
  expect(refused.errors).toContain("it is not a SQLite database");
  expect(existsSync(join(out, "nobody"))).toBe(false);
  await expectSame("from-directory");
});
