/** SQL, logs, crons and backups of a tenant through the whole platform. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import { createClient } from "@libsql/client/http";
import PocketBase from "pocketbase";
import { type AllInOne, startAllInOne, temporaryDirectory } from "./all-in-one.ts";
import { killAll } from "./process.ts";

setDefaultTimeout(60_000);

const data = temporaryDirectory();
let platform: AllInOne;
let root: PocketBase;

beforeAll(async () => {
  platform = await startAllInOne(data);
  await platform.manybase("tenants", "create", "acme");
  await platform.manybase("tenants", "superuser", "acme", "root@example.com", "root-password-1");
  root = new PocketBase(platform.url("acme"));
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
  await root.collections.create({
    name: "notes",
    type: "base",
    fields: [
      { name: "text", type: "text" },
      { name: "file", type: "file", maxSelect: 1 },
    ],
  });
});

afterAll(async () => {
  await killAll();
  rmSync(data, { recursive: true, force: true });
});

test("@libsql/client works through the gateway, interactive transactions too", async () => {
  const { token } = await root.send<{ token: string }>("/api/sql/tokens", {
    method: "POST",
    body: { name: "tool", access: "write" },
  });
  const client = createClient({ url: platform.url("acme"), authToken: token });
  await client.execute("INSERT INTO notes (text) VALUES ('by SQL')");
  const transaction = await client.transaction("write");
  await transaction.execute("UPDATE notes SET text = 'in a transaction'");
  expect((await transaction.execute("SELECT text FROM notes")).rows[0]?.[0]).toBe("in a transaction");
  await transaction.rollback();
  expect((await root.collection("notes").getFullList()).map(({ text }) => text)).toEqual(["by SQL"]);
});

test("logs, crons and the SQL console answer", async () => {
  expect((await root.logs.getList(1, 5, { filter: "data.auth = '_superusers'" })).totalItems).toBeGreaterThan(
    0,
  );
  expect((await root.crons.getFullList()).map(({ id }) => id)).toContain("__pbLogsCleanup__");
  const answer = await root.send<{ rows: string[][] }>("/api/sql", {
    method: "POST",
    body: { query: "SELECT count(*) FROM notes" },
  });
  expect(answer.rows).toEqual([["1"]]);
});

test("a backup comes back after everything was changed, downloaded and uploaded in between", async () => {
  const bytes = crypto.getRandomValues(new Uint8Array(3_000_000).subarray(0, 65_536));
  const kept = await root.collection("notes").create({ text: "kept", file: new File([bytes], "a.bin") });
  await root.backups.create("before.zip");
  const link = root.backups.getDownloadURL(await root.files.getToken(), "before.zip");
  const zip = await (await fetch(link)).blob();
  await root.backups.delete("before.zip");
  await root.collections.truncate("notes");
  await root.backups.upload({ file: new File([zip], "again.zip", { type: "application/zip" }) });
  await root.backups.restore("again.zip");
  const texts = (await root.collection("notes").getFullList({ sort: "text" })).map(({ text }) => text);
  expect(texts).toEqual(["by SQL", "kept"]);
  const file = await fetch(root.files.getURL(kept, String(kept["file"])));
  expect(new Uint8Array(await file.arrayBuffer())).toEqual(bytes);
});
