import { afterAll, describe, expect, test, setDefaultTimeout } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import PocketBase from "pocketbase";
import { type AllInOne, startAllInOne, temporaryDirectory } from "./all-in-one.ts";
import { bin, eventually, finish, killAll } from "./process.ts";

setDefaultTimeout(60_000);

const directories: string[] = [];
const fresh = (): string => {
  const directory = temporaryDirectory();
  directories.push(directory);
  return directory;
};

afterAll(async () => {
  await killAll();
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

async function seed(platform: AllInOne): Promise<PocketBase> {
  expect(await platform.manybase("tenants", "create", "acme")).toMatchObject({ status: 0 });
  expect(
    await platform.manybase("tenants", "superuser", "acme", "root@example.com", "root-password-1"),
  ).toMatchObject({ status: 0 });
  const client = new PocketBase(platform.url("acme"));
  client.autoCancellation(false);
  await client.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
  await client.collections.create({ name: "notes", type: "base", fields: [{ name: "text", type: "text" }] });
  await client.collection("notes").create({ text: "kept" });
  return client;
}

const alive = (pid: number): boolean => existsSync(`/proc/${pid}`);

describe("bun run all", () => {
  test("brings back a part that dies, and every tenant after its copies are deleted", async () => {
    const data = fresh();
    const platform = await startAllInOne(data);
    const client = await seed(platform);
    for (const part of ["worker", "gateway", "control"] as const) {
      const pid = platform.pids()[part];
      expect(pid).toBeGreaterThan(0);
      process.kill(pid, "SIGKILL");
      await eventually(() => expect(platform.pids()[part]).not.toBeOneOf([0, pid]));
      await eventually(async () => {
        expect(await client.collection("notes").create({ text: part })).toMatchObject({ text: part });
      });
    }
    const texts = async () =>
      (await client.collection("notes").getFullList({ sort: "@rowid" })).map((note) => String(note["text"]));
    expect(await texts()).toEqual(["kept", "worker", "gateway", "control"]);

    const pids = Object.values(platform.pids());
    platform.process.kill("SIGINT");
    expect(await platform.process.exited).toBe(0);
    expect(pids.filter(alive)).toEqual([]);

    rmSync(join(data, "worker"), { recursive: true });
    const again = await startAllInOne(data);
    client.baseURL = again.url("acme");
    expect(await texts()).toEqual(["kept", "worker", "gateway", "control"]);
    expect(again.process.output()).not.toContain("mbo_");
    again.process.kill("SIGINT");
    expect(await again.process.exited).toBe(0);
  });

  test("leaves nothing running when it is killed itself", async () => {
    const platform = await startAllInOne(fresh());
    const pids = Object.values(platform.pids());
    expect(pids.filter(alive)).toHaveLength(3);
    platform.process.kill("SIGKILL");
    await eventually(() => expect(pids.filter(alive)).toEqual([]));
  });

  test("prints the operator token once and keeps it for its owner only", async () => {
    const data = fresh();
    const platform = await startAllInOne(data);
    const token = readFileSync(join(data, "operator.token"), "utf8").trim();
    expect(platform.process.output().split(token)).toHaveLength(2);
    expect(statSync(join(data, "operator.token")).mode & 0o777).toBe(0o600);
    const answer = await fetch(`${platform.url("admin")}/api/cp/tenants`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(await answer.json()).toEqual({ tenants: [] });
    const refused = await fetch(`${platform.url("admin")}/api/cp/tenants`, {
      headers: { authorization: "Bearer mbo_no" },
    });
    expect(refused.status).toBe(401);
    for (const name of ["admin", "app"]) {
      const page = await fetch(platform.url(name), { headers: { accept: "text/html" } });
      expect(page.headers.get("content-type")).toStartWith("text/html");
    }
    const unknown = await fetch(`${platform.url("nobody")}/api/health`);
    expect(unknown.status).toBe(404);
    expect(await unknown.json()).toMatchObject({ error: { code: "tenant_not_found" } });
    platform.process.kill("SIGTERM");
    expect(await platform.process.exited).toBe(0);
  });

  test("says clearly that the port is taken", async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
    });
    const refused = await finish([
      bin("bun"),
      "run",
      "--silent",
      "all",
      "--data",
      fresh(),
      "--port",
      String(port),
    ]);
    server.close();
    expect(refused.status).toBe(1);
    expect(refused.errors).toStartWith(
      `Cannot listen on 127.0.0.1:${port}: another program uses that port\nChoose another one with --port.\n`,
    );
  });

  test("says clearly that its directory cannot be written", async () => {
    const file = join(fresh(), "a-file");
    writeFileSync(file, "");
    const refused = await finish([
      bin("bun"),
      "run",
      "--silent",
      "all",
      "--data",
      join(file, "data"),
      "--port",
      "0",
    ]);
    expect(refused.status).toBe(1);
    expect(refused.errors).toStartWith(`Cannot write to ${join(file, "data")}: `);
  });
});

describe("bun run manybase", () => {
  test("fails with a status, a reason and a way out", async () => {
    const nowhere = fresh();
    const cases: [string[], RegExp][] = [
      [["tenants", "list", "--data", nowhere], /Cannot find the platform.*\n.*npm start/],
      [["tenants", "explode"], /Cannot run "tenants explode": no such command/],
      [["tenants", "create", "--nope"], /Cannot read --nope: no such option/],
      [
        ["tenants", "list", "--control", "http://admin.localhost:1", "--token", "x"],
        /Cannot reach http:\/\/admin\.localhost:1/,
      ],
    ];
    for (const [words, text] of cases) {
      const result = await finish([bin("bun"), "run", "--silent", "manybase", ...words]);
      expect(result.status).toBe(1);
      expect(result.errors).toMatch(text);
    }
  });

  test("imports a PocketBase directory, replaces content, and shows it at once", async () => {
    const platform = await startAllInOne(fresh());
    const client = await seed(platform);
    // A directory of our own making: the local copy of a tenant is a PocketBase database, with its journal beside it.
    const [tenant] = JSON.parse((await platform.manybase("tenants", "list", "--json")).output) as {
      id: string;
    }[];
    const found = new Bun.Glob(`worker/*/${tenant?.id}/data.db`).scanSync(platform.data).next()
      .value as string;
    const source = fresh();
    mkdirSync(join(source, "storage/notes/r1"), { recursive: true });
    for (const file of ["data.db", "data.db-wal"]) {
      writeFileSync(join(source, file), readFileSync(join(platform.data, found.replace("data.db", file))));
    }
    writeFileSync(join(source, "storage/notes/r1/a.txt"), "stored");
    await client.collection("notes").create({ text: "only in acme" });

    const imported = await platform.manybase("tenants", "import", "copy", source, "--json");
    expect(imported.errors).toBe("");
    expect(JSON.parse(imported.output)).toMatchObject({ slug: "copy", files: 1, notCarried: [] });
    const copy = new PocketBase(platform.url("copy"));
    await copy.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
    const texts = async () =>
      (await copy.collection("notes").getFullList()).map((note) => String(note["text"]));
    expect(await texts()).toEqual(["kept"]);

    await copy.collection("notes").create({ text: "gone after the next import" });
    expect((await platform.manybase("tenants", "import", "copy", source)).status).toBe(0);
    expect(await texts()).toEqual(["kept"]);

    const broken = fresh();
    writeFileSync(join(broken, "data.db"), "this is no database");
    const refused = await platform.manybase("tenants", "import", "copy", broken);
    expect(refused.status).toBe(1);
    expect(refused.errors).toContain("Cannot import");
    expect(await texts()).toEqual(["kept"]);
    expect((await platform.manybase("tenants", "import", "copy", fresh())).errors).toContain(
      "there is no data.db in it",
    );
    platform.process.kill("SIGINT");
    expect(await platform.process.exited).toBe(0);
  });
});

test.each(["all", "control", "worker", "manybase"])("bun run %s --help names its options", async (name) => {
  const { status, output } = await finish([bin("bun"), "run", "--silent", name, "--help"]);
  expect(status).toBe(0);
  expect(output).toContain("--data <dir>");
  expect(output).toContain("MANYBASE_DATA");
});

test("deno run gateway --help names its options", async () => {
  const { status, output } = await finish([bin("deno"), "run", "gateway", "--help"]);
  expect(status).toBe(0);
  expect(output).toContain("--listen <host:port>");
});
