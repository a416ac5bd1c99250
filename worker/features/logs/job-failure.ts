import type { Tenant } from "../../tenant/contract.ts";
import { logQueueOf } from "./log-queue.ts";
import { LOG_LEVELS } from "../../pb/logs/store.ts";

/** Tells the tenant's superusers, by its logs, that one of its jobs failed. */
export function logJobFailure(tenant: Tenant, job: string, error: unknown): void {
  const timeMs = Date.now();
  const reason = error instanceof Error ? error.message : String(error);
  logQueueOf(tenant).add(() => ({
    timeMs,
    level: LOG_LEVELS.error,
    message: `Job ${job} failed`,
    data: { error: reason, job, type: "cron" },
  }));
}
