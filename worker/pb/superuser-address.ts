import type { TenantRequest } from "../http/contract.ts";
import { inRange } from "./address-range.ts";
import { forbidden } from "./api-error.ts";
import { settingsOf } from "./settings.ts";

/** Superusers come only from the addresses that the settings list, if they list any. @throws ApiError 403 */
export function checkSuperuserAddress({
  tenant,
  seen,
  clientIp,
}: Pick<TenantRequest, "tenant" | "seen" | "clientIp">): void {
  const allowed = settingsOf(tenant, seen)["superuserIPs"];
  if (!Array.isArray(allowed) || allowed.length === 0) return;
  if (!allowed.some((range) => typeof range === "string" && inRange(clientIp, range))) throw forbidden();
}
