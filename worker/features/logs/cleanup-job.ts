import type { CronJob } from "../../crons/job.ts";
import { settingsGroup, settingsOf } from "../../pb/settings.ts";
import { deleteLogsBefore } from "../../pb/logs/packed.ts";

const DAY_MS = 24 * 60 * 60_000;

/** Deletes what is older than the settings keep: everything when they keep nothing. */
export const logsCleanupJob: CronJob = {
  id: "__pbLogsCleanup__",
  expression: () => "0 */6 * * *",
  kind: "harmless",
  async run(tenant) {
    const seen = tenant.observe();
    const days = Number(settingsGroup(settingsOf(tenant, seen), "logs")["maxDays"] ?? 0);
    await deleteLogsBefore(tenant, seen, Date.now() - days * DAY_MS);
  },
};
