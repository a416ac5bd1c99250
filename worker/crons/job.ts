import type { SettingsObject } from "../pb/settings.ts";
import type { Tenant } from "../tenant/contract.ts";

/** Something that a tenant does at fixed times. */
export interface CronJob {
  readonly id: string;
  /** Its cron expression for a tenant with these settings; undefined when the tenant does not have the job. */
  expression(settings: SettingsObject): string | undefined;
  run(tenant: Tenant): Promise<void>;
  /**
   * `once`: never twice for one due minute, whoever owns the tenant in it: that it runs is made durable before it does, so a
   * crash in between skips it. `harmless`: it may run twice, and is not worth a write or waking the tenant.
   */
  readonly kind: "once" | "harmless";
}
