import { isIP } from "node:net";
import type { TenantRequest } from "../http/contract.ts";
import { settingsGroup, settingsOf } from "./settings.ts";

/**
 * The client's address for rules, limits and realtime: from the first header that the tenant's settings trust (its last valid
 * address, or the leftmost if they say so), else the one that the gateway saw. IPv6 in full, as PocketBase notes origins by it.
 */
export function realIp(from: TenantRequest): string {
  return inFull(believedIp(from));
}

/** `2001:db8::1` as `2001:0db8:0000:0000:0000:0000:0000:0001`; IPv4 as it is. */
function inFull(address: string): string {
  if (!address.includes(":")) return address;
  const [ip = "", zone] = address.toLowerCase().split("%");
  const hex = ip.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...four: string[]) =>
    [four.slice(0, 2), four.slice(2, 4)]
      .map(([high, low]) => (Number(high) * 256 + Number(low)).toString(16))
      .join(":"),
  );
  const [left = [], right = []] = hex
    .split("::")
    .map((half) => half.split(":").filter((part) => part !== ""));
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => "0");
  const full = [...left, ...zeros, ...right].map((part) => part.padStart(4, "0")).join(":");
  return zone === undefined ? full : `${full}%${zone}`;
}

function believedIp({ tenant, seen, request, clientIp }: TenantRequest): string {
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
