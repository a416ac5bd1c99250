/** Evicted tenants wake for what is due and go to sleep again, without a request of anybody. Real processes, in a calendar of their own. */
import { afterAll, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import PocketBase from "pocketbase";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { backupsPrefix, condemnedPrefix, tenantPrefix } from "../../shared/objects/layout.ts";
import { getBytes } from "../../shared/objects/read.ts";
import { openObjectStore } from "../../worker/objects/open.ts";
import { temporaryDirectory } from "./all-in-one.ts";
import { type Running, ROOT, bin, eventually, finish, killAll, run } from "./process.ts";

const TOKEN = `mbo_${"w".repeat(40)}`;
const MINUTE_MS = 60_000;
/** To start; a slower machine makes up for the minute that has passed. */
const BEFORE_MINUTE_MS = 3_000;
const PATIENCE_MS = 120_000;
const data = temporaryDirectory();
const store = await openObjectStore(`file:${join(data, "store")}`, {});

afterAll(async () => {
  await killAll();
  await store.close();
  rmSync(data, { recursive: true, force: true });
});

interface View {
  id: TenantId;
  state: string;
  epoch: number;
}

interface Platform {
  /** What time it is there. */
  nowMs(): number;
  url(name: string): string;
  view(): Promise<View>;
  manybase(...words: string[]): Promise<{ status: number; errors: string }>;
  stop(): Promise<void>;
}

/** On what is in the directory; its calendar comes to a whole minute `BEFORE_MINUTE_MS` after the start, the first one after `from` (0: now). */
async function startPlatform(fromMs: number): Promise<Platform> {
  const shiftMs =
    fromMs === 0 ? 0 : Math.ceil(fromMs / MINUTE_MS) * MINUTE_MS - BEFORE_MINUTE_MS - Date.now();
  const environment = {
    BUN_OPTIONS: `--preload=${join(ROOT, "test/e2e/shifted-date.ts")}`,
    TEST_DATE_SHIFT_MS: String(shiftMs),
    MANYBASE_LOG_LEVEL: "warn",
    MANYBASE_OPERATOR_TOKEN: TOKEN,
    MANYBASE_IDLE_AFTER: "1",
    MANYBASE_EVICT_AFTER: "2",
  };
  const common = ["--data", data, "--listen", "127.0.0.1:0"];
  const processes: Running[] = [];
  const start = async (main: string, ...more: string[]): Promise<string> => {
    const process = run([bin("bun"), `${main}.ts`, ...common, ...more], environment);
    processes.push(process);
    return process.line(`${main.split("/")[0]} ready on `, PATIENCE_MS);
  };
  const control = await start("control/main");
  const [gateway] = await Promise.all([
    start("gateway/adapters/bun-main", "--control", control),
    start("worker/main", "--control", control),
  ]);
  return {
    nowMs: () => Date.now() + shiftMs,
    url: (name) => gateway.replace("127.0.0.1", `${name}.localhost`),
    async view() {
      const headers = { authorization: `Bearer ${TOKEN}` };
      return (await (await fetch(`${control}/api/cp/tenants/acme`, { headers })).json()) as View;
    },
    manybase: (...words) =>
      finish([bin("bun"), "run", "--silent", "manybase", ...words], {
        MANYBASE_CONTROL: control,
        MANYBASE_TOKEN: TOKEN,
      }),
    async stop() {
      for (const process of processes.toReversed()) {
        process.kill("SIGTERM");
        await process.exited;
      }
    },
  };
}

const evicted = (platform: Platform): Promise<View> =>
  eventually(async () => {
    const now = await platform.view();
    expect(now.state).toBe("evicted");
    return now;
  }, PATIENCE_MS);

const flushes = (id: TenantId): string => `${tenantPrefix(id)}flushes/`;
const keysBelow = async (prefix: string): Promise<string[]> =>
  (await store.list({ prefix })).objects.map(({ key }) => key);

test("evicted, due, backed up, evicted again; a week later loaded once for its maintenance", async () => {
  let platform = await startPlatform(0);
  for (const words of [
    ["tenants", "create", "acme"],
    ["tenants", "superuser", "acme", "root@example.com", "root-password-1"],
  ]) {
    expect(await platform.manybase(...words)).toMatchObject({ status: 0 });
  }
  const client = new PocketBase(platform.url("acme"));
  await client.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
  // Far enough for a slow machine, and only once on this day.
  const due = new Date(platform.nowMs() + 10 * MINUTE_MS);
  const cron = `${due.getUTCMinutes()} ${due.getUTCHours()} ${due.getUTCDate()} * *`;
  await client.settings.update({ backups: { cron, cronMaxKeep: 1 } });
  const { id, epoch } = await evicted(platform);
  await platform.stop();
  expect(await keysBelow(backupsPrefix(id))).toEqual([]);

  platform = await startPlatform(due.getTime() - (due.getTime() % MINUTE_MS));
  const made = async (): Promise<void> =>
    expect(await keysBelow(backupsPrefix(id))).toEqual([expect.stringContaining("@auto_pb_backup_")]);
  await eventually(made, PATIENCE_MS);
  expect(await evicted(platform)).toMatchObject({ epoch: epoch + 1 });
  const bundles = await keysBelow(flushes(id));
  expect(bundles).not.toEqual([]);
  await platform.stop();

  // The next backup is a month away.
  platform = await startPlatform(platform.nowMs() + limits.maintenanceLoadAfterMs);
  // Of history three days are kept: what is older is announced to go, and stays its owner's business until it is gone.
  await eventually(async () => {
    const records = await keysBelow(condemnedPrefix(id));
    const texts = await Promise.all(records.map((key) => getBytes(store, key)));
    const announced = texts.map((bytes) => new TextDecoder().decode(bytes)).join("\n");
    expect(bundles.filter((key) => !announced.includes(key))).toEqual([]);
  }, PATIENCE_MS);
  expect(await platform.view()).toMatchObject({ epoch: epoch + 2 });
  await platform.stop();
}, 420_000);
