import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import PocketBase from "pocketbase";
import { fromBufferPromise } from "yauzl";
import { ZipFile } from "yazl";
import { limits } from "../../../shared/limits.ts";
import { createTenantApp } from "../../app.ts";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { backupKey, storageKey } from "../../../shared/objects/layout.ts";
import { exclusively } from "../../pb/running-backup.ts";
import type { Observation } from "../../tenant/contract.ts";
import { gatedStore } from "../../tenant/test-world.ts";
import { autoBackupJob } from "./auto-job.ts";
import { createBackup } from "./create.ts";
import { restoreBackup } from "./restore.ts";
import { generatedName, isStoredName } from "./names.ts";

let api: TestApi;
let root: PocketBase;
const directory = mkdtempSync(join(tmpdir(), "backups-test-"));

beforeAll(async () => {
  api = await startTestApi();
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({
    name: "docs",
    type: "base",
    listRule: "",
    viewRule: "",
    fields: [
      { name: "title", type: "text" },
      { name: "file", type: "file", maxSelect: 1 },
    ],
  });
});
afterAll(async () => {
  await api.close();
  rmSync(directory, { recursive: true, force: true });
});

async function zipOf(name: string): Promise<Map<string, Buffer>> {
  const token = await root.files.getToken();
  const response = await fetch(root.backups.getDownloadURL(token, name));
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/zip");
  const zip = await fromBufferPromise(Buffer.from(await response.arrayBuffer()));
  const entries = new Map<string, Buffer>();
  for await (const entry of zip.eachEntry()) {
    const chunks: Buffer[] = [];
    for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk as Buffer);
    entries.set(entry.fileName, Buffer.concat(chunks));
  }
  return entries;
}

async function zipWith(entries: Record<string, string>): Promise<Blob> {
  const zip = new ZipFile();
  for (const [name, text] of Object.entries(entries)) zip.addBuffer(Buffer.from(text), name);
  zip.end();
  const chunks: Buffer[] = [];
  for await (const chunk of zip.outputStream) chunks.push(chunk as Buffer);
  return new Blob([Buffer.concat(chunks)]);
}

async function failure(
  call: Promise<unknown>,
): Promise<{ status: number; response: Record<string, unknown> }> {
  return (await call.then(
    () => ({ status: 200, response: {} }),
    (error: unknown) => error,
  )) as { status: number; response: Record<string, unknown> };
}

describe("a backup", () => {
  test("holds the databases and files, is listed, and brings all of it back", async () => {
    const file = new File(["the content"], "note.txt");
    const kept = await root.collection("docs").create({ title: "kept", file });
    expect(await root.backups.create("first.zip")).toBe(true);
    const listed = await root.backups.getFullList();
    expect(listed).toHaveLength(1);
    expect(Object.keys(listed[0] ?? {})).toEqual(["modified", "key", "size"]);
    expect(listed[0]?.key).toBe("first.zip");
    expect(listed[0]?.modified).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z$/);

    const entries = await zipOf("first.zip");
    const stored = `storage/${kept.collectionId}/${kept.id}/${String(kept["file"])}`;
    expect([...entries.keys()]).toEqual(expect.arrayContaining(["data.db", stored]));
    expect(entries.get(stored)?.toString()).toBe("the content");
    expect(JSON.parse(entries.get(`${stored}.attrs`)?.toString() ?? "")).toMatchObject({
      "user.content_type": "text/plain; charset=utf-8",
      md5: new Bun.CryptoHasher("md5").update("the content").digest("base64"),
    });
    const path = join(directory, "data.db");
    writeFileSync(path, entries.get("data.db") ?? "");
    using copy = new Database(path);
    expect(copy.query("SELECT title FROM docs").values()).toEqual([["kept"]]);
    expect(copy.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);

    await root.collection("docs").delete(kept.id);
    await root.collection("docs").create({ title: "later" });
    await root.settings.update({ meta: { appName: "later" } });
    await root.collections.create({ name: "extra", type: "base" });
    expect(await root.backups.restore("first.zip")).toBe(true);
    const titles = await root.collection("docs").getFullList();
    expect(titles.map(({ title }) => title)).toEqual(["kept"]);
    expect(await (await fetch(root.files.getURL(kept, String(kept["file"])))).text()).toBe("the content");
    expect((await root.settings.getAll())["meta"]).not.toMatchObject({ appName: "later" });
    expect((await failure(root.collections.getOne("extra"))).status).toBe(404);
    expect((await root.collection("docs").create({ title: "after" }))["title"]).toBe("after");
  });

  test("is made while others write", async () => {
    const backup = root.backups.create("busy.zip");
    const writes = Array.from({ length: 20 }, (_, n) => root.collection("docs").create({ title: `n${n}` }));
    await Promise.all([backup, ...writes]);
    expect((await zipOf("busy.zip")).has("data.db")).toBe(true);
    await root.backups.delete("busy.zip");
  });

  test("runs alone", async () => {
    const [one, two] = await Promise.all([
      failure(root.backups.create("one.zip")),
      failure(root.backups.create("two.zip")),
    ]);
    const statuses = [one.status, two.status].toSorted((a, b) => a - b);
    expect(statuses).toEqual([200, 400]);
    const refused = one.status === 400 ? one : two;
    expect(String(refused.response["message"])).toStartWith("Try again later");
    await root.backups.delete(one.status === 200 ? "one.zip" : "two.zip");
  });

  test.each([
    ["Upper.zip", "validation_match_invalid"],
    ["none", "validation_match_invalid"],
    ["../x.zip", "validation_match_invalid"],
    [`${"a".repeat(147)}.zip`, "validation_length_out_of_range"],
    ["first.zip", "validation_backup_name_exists"],
  ])("is not named %s", async (name, code) => {
    const { status, response } = await failure(root.backups.create(name));
    expect({ status, data: response["data"] }).toMatchObject({ status: 400, data: { name: { code } } });
  });

  test("is not made from a body of another type, whose name is not told", async () => {
    const headers = { authorization: root.authStore.token, "content-type": "text/plain" };
    const answer = await fetch(`${api.url}/api/backups`, { method: "POST", headers, body: "x" });
    expect(await answer.json()).toMatchObject({
      status: 400,
      message: "An error occurred while loading the submitted data.",
    });
  });

  test("without a name gets one of the application and the time", async () => {
    await root.backups.create("");
    const keys = (await root.backups.getFullList()).map(({ key }) => key);
    expect(keys.some((key) => /^pb_backup_[a-z0-9_]*_\d{14}\.zip$/.test(key))).toBe(true);
    const at = new Date("2026-02-03T04:05:06Z");
    expect(generatedName("x_", { meta: { appName: "My App 2!" } }, at)).toBe("x_my_app_2_20260203040506.zip");
  });
});

describe("access", () => {
  test("to a download needs a superuser's file token", async () => {
    const url = `${api.url}/api/backups/first.zip`;
    const headers = { authorization: root.authStore.token };
    expect((await fetch(url, { headers })).status).toBe(403);
    expect((await fetch(`${url}?token=${root.authStore.token}`)).status).toBe(403);
    const account = { email: "a@b.co", password: "12345678", passwordConfirm: "12345678" };
    await root.collection("users").create(account);
    const user = new PocketBase(api.url);
    await user.collection("users").authWithPassword("a@b.co", "12345678");
    expect((await fetch(`${url}?token=${await user.files.getToken()}`)).status).toBe(403);
    const token = await root.files.getToken();
    expect((await fetch(`${api.url}/api/backups/missing.zip?token=${token}`)).status).toBe(404);
  });

  test("to a download comes from where superusers may come from, and is framed by nobody else", async () => {
    const url = `${api.url}/api/backups/first.zip?token=${await root.files.getToken()}`;
    const from = async (address: string): Promise<Response> => {
      const answer = await fetch(url, { headers: { "x-client": address } });
      await answer.arrayBuffer();
      return answer;
    };
    const headers = { "x-client": "7.7.7.7" };
    await root.settings.update({ trustedProxy: { headers: ["x-client"] } });
    await root.settings.update({ superuserIPs: ["7.7.7.7"] }, { headers });
    const answer = await from("7.7.7.7");
    expect([answer.status, answer.headers.get("x-frame-options")]).toEqual([200, "SAMEORIGIN"]);
    expect((await from("8.8.8.8")).status).toBe(403);
    await root.settings.update({ superuserIPs: [], trustedProxy: { headers: [] } }, { headers });
  });

  test("to a download may ask for a part of it", async () => {
    const url = `${api.url}/api/backups/first.zip?token=${await root.files.getToken()}`;
    const whole = await fetch(url);
    const bytes = new Uint8Array(await whole.arrayBuffer());
    const part = await fetch(url, {
      headers: { range: "bytes=10-19", "if-range": whole.headers.get("last-modified") ?? "" },
    });
    expect(part.status).toBe(206);
    expect(part.headers.get("content-range")).toBe(`bytes 10-19/${bytes.length}`);
    expect(new Uint8Array(await part.arrayBuffer())).toEqual(bytes.slice(10, 20));
    const other = await fetch(url, {
      headers: { range: "bytes=10-19", "if-range": new Date(0).toUTCString() },
    });
    expect([other.status, (await other.arrayBuffer()).byteLength]).toEqual([200, bytes.length]);
    expect((await fetch(url, { headers: { range: `bytes=${bytes.length}-` } })).status).toBe(416);
  });

  test("to everything else needs a superuser", async () => {
    for (const [method, path] of [
      ["GET", ""],
      ["POST", ""],
      ["POST", "/upload"],
      ["DELETE", "/first.zip"],
      ["POST", "/first.zip/restore"],
    ]) {
      const { status } = await fetch(`${api.url}/api/backups${path ?? ""}`, { method: method ?? "" });
      expect({ method, path, status }).toEqual({ method, path, status: 401 });
    }
  });
});

describe("an upload", () => {
  test("is stored under its name and can be restored", async () => {
    const token = await root.files.getToken();
    const bytes = await (await fetch(root.backups.getDownloadURL(token, "first.zip"))).blob();
    await root.backups.upload({ file: new File([bytes], "Uploaded 1.zip", { type: "application/zip" }) });
    expect((await root.backups.getFullList()).map(({ key }) => key)).toContain("Uploaded 1.zip");
    await root.backups.restore("Uploaded 1.zip");
    expect((await root.collection("docs").getFullList()).map(({ title }) => title)).toEqual(["kept"]);
    const again = await failure(root.backups.upload({ file: new File([bytes], "Uploaded 1.zip") }));
    expect(again.response["data"]).toMatchObject({ file: { code: "validation_backup_name_exists" } });
  });

  test("must be a zip", async () => {
    const text = await failure(root.backups.upload({ file: new File(["plain"], "plain.zip") }));
    expect(text.response["data"]).toMatchObject({
      file: {
        code: "validation_invalid_mime_type",
        message: expect.stringMatching(/^"plain_\w{10}\.zip" mime type must be one of: application\/zip\.$/),
      },
    });
    const nothing = await failure(root.backups.upload({ other: "x" }));
    expect(nothing.response["data"]).toMatchObject({ file: { code: "validation_required" } });
  });

  test("takes the worker's disk, so there are few at a time", async () => {
    const { tenant, url: origin } = api;
    const app = createTenantApp();
    const broken = Promise.withResolvers<void>();
    const ask = (): Promise<Response> => {
      const body = new ReadableStream({
        pull: (controller) => broken.promise.then(() => controller.close()),
      });
      const headers = {
        ...{ authorization: root.authStore.token, "content-type": "multipart/form-data; boundary=b" },
      };
      const request = new Request(`${origin}/api/backups/upload`, { method: "POST", headers, body });
      const asked = { tenant, seen: tenant.observe(), clientIp: "127.0.0.1", origin, requestId: "test" };
      return Promise.resolve(app({ request, ...asked }));
    };
    const slow = Array.from({ length: limits.backupUploadsMax }, ask);
    expect((await ask()).status).toBe(429);
    broken.resolve();
    for (const answered of slow) expect((await answered).status).toBe(400);
    expect((await ask()).status).toBe(400);
  });

  test("that is no backup is refused when it is restored, and nothing changes", async () => {
    const zips: Record<string, Blob> = {
      "nothing.zip": await zipWith({ "readme.txt": "x" }),
      "text.zip": await zipWith({ "data.db": "not a database" }),
      "broken.zip": (await zipWith({ "data.db": "x".repeat(5_000) })).slice(0, 60),
    };
    for (const [name, blob] of Object.entries(zips)) {
      await root.backups.upload({ file: new File([blob], name) });
      const { status, response } = await failure(root.backups.restore(name));
      expect({ name, status, message: response["message"] }).toEqual({
        name,
        status: 400,
        message: "Failed to restore backup.",
      });
    }
    expect((await root.collection("docs").getFullList()).map(({ title }) => title)).toEqual(["kept"]);
  });

  test("of another application's database is refused", async () => {
    using other = new Database(":memory:");
    other.run("CREATE TABLE _collections (id TEXT)");
    const zip = new ZipFile();
    zip.addBuffer(Buffer.from(other.serialize()), "data.db");
    zip.end();
    const chunks: Buffer[] = [];
    for await (const chunk of zip.outputStream) chunks.push(chunk as Buffer);
    await root.backups.upload({ file: new File([Buffer.concat(chunks)], "other.zip") });
    expect((await failure(root.backups.restore("other.zip"))).status).toBe(400);
    expect((await root.collection("docs").getFullList()).map(({ title }) => title)).toEqual(["kept"]);
  });

  test.each([
    ["Mine 1.zip", true],
    ["a/b.zip", false],
    ["a\\b.zip", false],
    ["..", false],
    ["a\nb.zip", false],
    ["", false],
  ])("may be named %p: %p", (name, isGood) => {
    expect(isStoredName(name)).toBe(isGood);
  });
});

test("a backup that is in use is not deleted", async () => {
  const { status, response } = await exclusively(api.tenant, "first.zip", () =>
    failure(root.backups.delete("first.zip")),
  );
  expect([status, response["message"]]).toEqual([
    400,
    "The backup is currently being used and cannot be deleted.",
  ]);
});

test("what is more than the tenant may store is not even unpacked", async () => {
  const small = await startTestApi("async", { storageBytesMax: 2_000_000 });
  const pb = new PocketBase(small.url);
  await pb.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  const blob = await zipWith({ "storage/abc/def/bomb.txt": "x".repeat(3_000_000) });
  await pb.backups.upload({ file: new File([blob], "bomb.zip") });
  expect((await failure(pb.backups.restore("bomb.zip"))).status).toBe(400);
  const { tenant } = small;
  expect(await tenant.objects.head(storageKey(tenant.id, "abc", "def", "bomb.txt"))).toBeUndefined();
  await small.close();
});

test("a backup is in the store when what it holds is durable, and not before", async () => {
  let gate: ReturnType<typeof gatedStore> | undefined;
  const wrapStore = (store: ObjectStore): ObjectStore => (gate = gatedStore(store)).store;
  const gated = await startTestApi("durable", { wrapStore });
  const { tenant } = gated;
  gate?.close();
  await tenant.data.write(tenant.observe(), (tx) => tx.run("UPDATE _params SET updated = 'x'"));
  const { promise: waits, resolve } = Promise.withResolvers<void>();
  const observe = tenant.observe.bind(tenant);
  const watched = (): Observation => {
    const seen = observe();
    const settled = seen.settled.bind(seen);
    return Object.assign(seen, { settled: (signal?: AbortSignal) => (resolve(), settled(signal)) });
  };
  Object.assign(tenant, { observe: watched });
  const making = createBackup(tenant, "b.zip");
  const isThere = async () => (await tenant.objects.head(backupKey(tenant.id, "b.zip"))) !== undefined;
  await Promise.race([making, waits]);
  expect(await isThere()).toBe(false);
  gate?.open();
  await making;
  expect(await isThere()).toBe(true);
  await gated.close();
});

test("what backups take room for meanwhile is below the tenant's temporary directory", async () => {
  const { tenant } = api;
  await root.backups.create("room.zip");
  const token = await root.files.getToken();
  const zip = await (await fetch(root.backups.getDownloadURL(token, "room.zip"))).blob();
  renameSync(tenant.temporary, `${tenant.temporary}-away`);
  const missing = { code: "ENOENT", path: expect.stringContaining(tenant.temporary) as string };
  const error = (doing: Promise<void>): Promise<unknown> => doing.catch((cause: unknown) => cause);
  expect(await error(createBackup(tenant, "other.zip"))).toMatchObject(missing);
  expect(await error(restoreBackup(tenant, tenant.observe(), "room.zip"))).toMatchObject(missing);
  await failure(root.backups.upload({ file: new File([zip], "again.zip") }));
  renameSync(`${tenant.temporary}-away`, tenant.temporary);
  await root.backups.upload({ file: new File([zip], "again.zip") });
  await root.backups.delete("again.zip");
  await root.backups.delete("room.zip");
});

test("what is not there cannot be deleted or restored", async () => {
  expect((await failure(root.backups.delete("nope.zip"))).status).toBe(400);
  const { response } = await failure(root.backups.restore("nope.zip"));
  expect(response["message"]).toBe("Missing or invalid backup file.");
});

test("the automatic one keeps as many as the settings say", async () => {
  await root.settings.update({ backups: { cron: "0 0 * * *", cronMaxKeep: 1 } });
  const automatic = async (): Promise<string[]> =>
    (await root.backups.getFullList())
      .map(({ key }) => key)
      .filter((key) => key.startsWith("@auto_pb_backup_"));
  await autoBackupJob.run(api.tenant);
  const [first] = await automatic();
  await Bun.sleep(1_001);
  await autoBackupJob.run(api.tenant);
  const [second, ...others] = await automatic();
  expect(others).toEqual([]);
  expect(second).not.toBe(first);
  expect((await root.backups.getFullList()).map(({ key }) => key)).toContain("first.zip");
});
