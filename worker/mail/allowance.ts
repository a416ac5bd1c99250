import { limits } from "../../shared/limits.ts";

const HOUR_MS = 60 * 60_000;

/** How much the platform sends for tenants without a server of their own: per tenant, and for all, in each clock hour. */
export class PlatformAllowance {
  readonly #counts = new Map<string, number>();
  #hour = -1;
  #total = 0;

  /** Takes one mail; false when the hour's are used up. */
  take(tenantId: string, nowMs: number): boolean {
    const hour = Math.floor(nowMs / HOUR_MS);
    if (hour !== this.#hour) {
      this.#hour = hour;
      this.#total = 0;
      this.#counts.clear();
    }
    const used = this.#counts.get(tenantId) ?? 0;
    if (this.#total >= limits.platformMailsPerHour || used >= limits.platformMailsPerTenantHour) return false;
    this.#counts.set(tenantId, used + 1);
    this.#total += 1;
    return true;
  }
}
