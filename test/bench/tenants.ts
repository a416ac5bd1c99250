/**
 * What tenants cost that are open and idle: `bun test/bench/tenants.ts [count]`. Prints memory of a tenant, timers, and requests to
 * the object store while nothing happens. As many as the limit of descriptors allows, 10,000 at most.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Epoch, type Incarnation, type TenantId, newTenantId } from "../../shared/ids.ts";
import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { countedStore } from "../../worker/objects/counted.ts";
import { openObjectStore } from "../../worker/objects/open.ts";
import { bootstrap } from "../../worker/model/bootstrap.ts";
import { SQL_FUNCTIONS } from "../../worker/query/functions.ts";
import { type Clock, systemClock } from "../../worker/replication/clock.ts";
import { parallel } from "../../worker/replication/parallel.ts";
import { createTenantHost } from "../../worker/tenant/host.ts";
import { loneControl } from "./lone-control.ts";

const IDLE_MS = 3_000;
const directory = mkdtempSync(join(tmpdir(), "bench-tenants-"));
const store = countedStore(await openObjectStore(`file:${join(directory, "store")}`, {}));
const incarnation = 1 as Incarnation;
let timers = 0;
const clock: Clock = {
  ...systemClock,
  after(delayMs, run) {
    timers++;
    let open = true;
    const end = (): void => {
      if (open) timers--;
      open = false;
    };
    const cancel = systemClock.after(delayMs, () => {
      end();
      run();
    });
    return () => {
      end();
      cancel();
    };
  },
};
const host = createTenantHost({
  directory: join(directory, "tenants"),
  store,
  incarnation,
  nonce: "a".repeat(32),
  clock,
  sqlFunctions: SQL_FUNCTIONS,
  control: loneControl(incarnation),
  bootstrap,
});
const most = host.metrics()["tenants_max"] ?? 0;
const count = Math.min(Number(process.argv[2] ?? limits.tenantsOpenMax), most);
const settle = async (): Promise<number> => {
  Bun.gc(true);
  await Bun.sleep(200);
  Bun.gc(true);
  return process.memoryUsage.rss();
};

const ids = Array.from({ length: count }, () =>
  newTenantId((n) => crypto.getRandomValues(new Uint8Array(n))),
);
// What is loaded once for all is no tenant's.
await host.acquire(ids[0] as TenantId, 1 as Epoch);
const before = await settle();
const startedMs = performance.now();
await parallel(ids, 8, async (id) => {
  for (;;) {
    try {
      return await host.acquire(id, 1 as Epoch);
    } catch (error) {
      // A slow disk under the store: what a client would be told to try again.
      if (!(error instanceof SystemError) || error.code !== "store_unavailable") throw error;
      await Bun.sleep(100);
    }
  }
});
const openedMs = performance.now() - startedMs;
const opened = await settle();
const waiting = timers;
store.reset();
const cpu = process.cpuUsage();
await Bun.sleep(IDLE_MS);
const { user, system } = process.cpuUsage(cpu);
const perTenant = (opened - before) / Math.max(1, count - 1);
const megabytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(0);
console.log(
  `opened ${count} tenants in ${(openedMs / 1000).toFixed(1)} s (the limit of descriptors allows ${most})`,
);
console.log(`memory ${megabytes(opened)} MB, ${(perTenant / 1024).toFixed(0)} KB a tenant`);
const whole = before + perTenant * limits.tenantsOpenMax;
console.log(
  `of ${limits.tenantsOpenMax} tenants: ${megabytes(whole)} MB, ${whole < 4 * 2 ** 30 ? "reached" : "MISSED"} (at most 4096)`,
);
console.log(`timers ${waiting} for all together (entries of the last minutes wait for their prefix)`);
console.log(
  `requests in ${IDLE_MS} ms of idleness: ${store.requests()}, CPU ${(((user + system) / 1000 / IDLE_MS) * 100).toFixed(1)} %`,
);
host.abandon();
rmSync(directory, { recursive: true, force: true });
process.exit(0);
