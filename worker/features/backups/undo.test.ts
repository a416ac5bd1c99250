import { afterAll, beforeAll, expect, test } from "bun:test";
import PocketBase from "pocketbase";
import { DATA_DB, parseTxid } from "../../../shared/ids.ts";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { restoreInPlace } from "../../platform/restore-in-place.ts";

let api: TestApi;
let root: PocketBase;
beforeAll(async () => {
  api = await startTestApi();
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({
    name: "docs",
    type: "base",
    fields: [
      { name: "title", type: "text" },
      { name: "file", type: "file", maxSelect: 1 },
    ],
  });
});
afterAll(() => api.close());

test("a restored backup can be undone: the state before is a point like any other, its files included", async () => {
  await root.backups.create("old.zip");
  const file = new File(["content"], "a.txt");
  const doc = await root.collection("docs").create({ title: "newer than the backup", file });
  const txid = api.tenant.history.captured()[DATA_DB]?.txid ?? parseTxid(0);
  await root.backups.restore("old.zip");
  expect(await root.collection("docs").getFullList()).toEqual([]);
  const request = new Request(`${api.url}/_manybase/restore`);
  const context = { ...{ request, tenant: api.tenant, seen: api.tenant.observe() }, requestId: "test" };
  const from = { clientIp: "127.0.0.1", origin: api.url };
  const report = await restoreInPlace({ ...context, ...from }, { at: txid, logs: false });
  expect(report).toMatchObject({ exact: true, point: { txid } });
  const [back] = await root.collection("docs").getFullList();
  expect(back?.["title"]).toBe("newer than the backup");
  expect(await (await fetch(root.files.getURL(doc, String(back?.["file"])))).text()).toBe("content");
});
