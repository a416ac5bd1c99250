import { isIP } from "node:net";
import type { TenantRequest } from "../http/contract.ts";
import { settingsGroup, settingsOf } from "./settings.ts";

/**
 * The client's address for rules, limits and realtime: from the first header that the tenant's settings trust (its last valid
 * address, or the leftmost if they say so), else the one that the gateway saw.
 */
export function realIp({ tenant, seen, request, clientIp }: TenantRequest): string {
  const { headers, useLeftmostIP } = settingsGroup(settingsOf(tenant, seen), "trustedProxy");
  if (!Array.isArray(headers)) return clientIp;
  for (const name of headers) {
    const value = typeof name === "string" && HEADER.test(name) ? request.headers.get(name) : null;
    const addresses = (value ?? "").split(",").map((address) => address.trim());
    const found = useLeftmostIP === true ? addresses.find(isAddress) : addresses.findLast(isAddress);
    if (found !== undefined) return found;
  }
  return clientIp;
}

const HEADER = /^[\w-]+$/;
const isAddress = (text: string): boolean => isIP(text) !== 0;
