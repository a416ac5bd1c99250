import { afterAll, beforeAll, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import PocketBase from "pocketbase";
import type { TenantId } from "../../shared/ids.ts";
import { backupsPrefix } from "../../shared/objects/layout.ts";
import { openObjectStore } from "../../worker/objects/open.ts";
import { type AllInOne, startAllInOne, temporaryDirectory } from "./all-in-one.ts";
import { killAll } from "./process.ts";

/** An evicted tenant wakes for its backup and goes to sleep again, without a request of anybody. */
const data = temporaryDirectory();
let platform: AllInOne;

interface View {
  id: TenantId;
  state: string;
  epoch: number;
}

const view = async (): Promise<View> => {
  const { output } = await platform.manybase("tenants", "get", "acme", "--json");
  return JSON.parse(output) as View;
};

async function until(what: string, test: () => Promise<boolean>, ms: number): Promise<void> {
  const endMs = performance.now() + ms;
  while (!(await test())) {
    if (performance.now() > endMs) throw new Error(`It did not happen: ${what}`);
    await Bun.sleep(500);
  }
}

beforeAll(async () => {
  platform = await startAllInOne(data, [], { MANYBASE_IDLE_AFTER: "1", MANYBASE_EVICT_AFTER: "3" });
  await platform.manybase("tenants", "create", "acme");
  await platform.manybase("tenants", "superuser", "acme", "root@example.com", "root-password-1");
}, 60_000);

afterAll(async () => {
  await killAll();
  rmSync(data, { recursive: true, force: true });
});

test("evicted, due, backed up, evicted again", async () => {
  const client = new PocketBase(platform.url("acme"));
  await client.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
  // Far enough for the tenant to be evicted first.
  const due = new Date(Date.now() + 90_000);
  const cron = `${due.getUTCMinutes()} ${due.getUTCHours()} * * *`;
  await client.settings.update({ backups: { cron, cronMaxKeep: 3 } });
  await until("evicted", async () => (await view()).state === "evicted", 60_000);
  const { id, epoch } = await view();
  const store = await openObjectStore(`file:${join(data, "store")}`, {});
  const backups = async (): Promise<string[]> =>
    (await store.list({ prefix: backupsPrefix(id) })).objects.map(({ key }) => key);
  expect(await backups()).toEqual([]);
  await until("a backup", async () => (await backups()).length > 0, 180_000);
  await until("evicted again", async () => (await view()).state === "evicted", 60_000);
  expect(await view()).toMatchObject({ epoch: epoch + 1 });
  expect(await backups()).toEqual([expect.stringContaining("@auto_pb_backup_")]);
  await store.close();
}, 330_000);
