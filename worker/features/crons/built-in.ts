/** The jobs that PocketBase gives every app, but those of features of their own (logs, backups). */
import { mfaSessionSeconds, otp } from "../../auth/options.ts";
import type { CronJob } from "../../crons/job.ts";
import { dateText } from "../../model/fields/date-text.ts";
import { modelOf } from "../../model/model.ts";
import { settingsGroup } from "../../pb/settings.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import { limits } from "../../../shared/limits.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import type { Tenant } from "../../tenant/contract.ts";

const HOURLY = "0 * * * *";

export const optimizeJob: CronJob = {
  id: "__pbDBOptimize__",
  expression: () => "0 0 * * *",
  kind: "harmless",
  // PocketBase also checkpoints here: replication does that all the time.
  async run(tenant) {
    await tenant.data.write(tenant.observe(), (tx) => tx.exec("PRAGMA optimize"));
  },
};

export const mfaCleanupJob: CronJob = {
  id: "__pbMFACleanup__",
  expression: () => HOURLY,
  kind: "harmless",
  run: (tenant) => removeExpired(tenant, "_mfas", mfaSessionSeconds),
};

export const otpCleanupJob: CronJob = {
  id: "__pbOTPCleanup__",
  expression: () => HOURLY,
  kind: "harmless",
  run: (tenant) => removeExpired(tenant, "_otps", (collection) => otp(collection).durationSeconds),
};

export const rateLimitersCleanupJob: CronJob = {
  id: "__pbRateLimitersCleanup__",
  expression: (settings) =>
    settingsGroup(settings, "rateLimits")["enabled"] === true ? "2 * * * *" : undefined,
  kind: "harmless",
  // Windows are bounded in number and forgotten as they end; the job is there because PocketBase lists it while it limits.
  run: () => Promise.resolve(),
};

async function removeExpired(
  tenant: Tenant,
  table: "_mfas" | "_otps",
  durationSeconds: (collection: Collection) => number,
): Promise<void> {
  const model = modelOf(tenant);
  const rows = model.schema.find(table);
  if (rows === undefined) return;
  const seen = tenant.observe();
  for (const owner of model.schema.collections) {
    if (owner.type !== "auth") continue;
    const before = dateText(new Date(Date.now() - durationSeconds(owner) * 1000));
    const find = (db: SqlReader): string[] =>
      db
        .values(
          `SELECT id FROM ${table} WHERE collectionRef = ? AND created < ? LIMIT ${limits.truncateBatch}`,
          [owner.id, before],
        )
        .map(([id]) => String(id));
    while (tenant.data.read(seen, find).length > 0) {
      const removed = await tenant.data.write(seen, (tx) => {
        const expired = model.findMany(tx, rows, find(tx));
        for (const record of expired) model.remove(tx, record);
        return expired.length;
      });
      if (removed === 0) break;
    }
  }
}
