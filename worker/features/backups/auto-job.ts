import type { CronJob } from "../../crons/job.ts";
import { settingsGroup, settingsOf } from "../../pb/settings.ts";
import type { Tenant } from "../../tenant/contract.ts";
import { createBackup } from "./create.ts";
import { generatedName } from "./names.ts";
import { exclusively } from "../../pb/running-backup.ts";
import { backupSignal, deleteBackup, listBackups } from "./stored.ts";

const PREFIX = "@auto_pb_backup_";

export const autoBackupJob: CronJob = {
  id: "__pbAutoBackup__",
  expression(settings) {
    const cron = settingsGroup(settings, "backups")["cron"];
    return typeof cron === "string" && cron !== "" ? cron : undefined;
  },
  kind: "once",
  run: makeAndPrune,
};

async function makeAndPrune(tenant: Tenant): Promise<void> {
  const settings = settingsOf(tenant, tenant.observe());
  const name = generatedName(PREFIX, settings, new Date());
  await exclusively(tenant, name, () => createBackup(tenant, name));
  const keep = Number(settingsGroup(settings, "backups")["cronMaxKeep"] ?? 0);
  if (keep <= 0) return;
  const signal = backupSignal(tenant);
  const automatic = (await listBackups(tenant, signal)).filter(({ key }) => key.startsWith(PREFIX));
  const newestFirst = automatic.toSorted((a, b) => (a.modified < b.modified ? 1 : -1));
  for (const { key } of newestFirst.slice(keep)) await deleteBackup(tenant, key, signal);
}
