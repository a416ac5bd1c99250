import type { TenantRequest } from "../http/contract.ts";
import { inRange } from "./address-range.ts";
import { forbidden } from "./api-error.ts";
import { settingsOf } from "./settings.ts";

type Asked = Pick<TenantRequest, "tenant" | "seen" | "clientIp">;

/** Superusers come only from the addresses that the settings list, if they list any. */
export function isSuperuserAddress({ tenant, seen, clientIp }: Asked): boolean {
  const allowed = settingsOf(tenant, seen)["superuserIPs"];
  if (!Array.isArray(allowed) || allowed.length === 0) return true;
  return allowed.some((range) => typeof range === "string" && inRange(clientIp, range));
}

/** @throws ApiError 403 */
export function checkSuperuserAddress(asked: Asked): void {
  if (!isSuperuserAddress(asked)) throw forbidden();
}
