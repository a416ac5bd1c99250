import { BlockList, isIP } from "node:net";

/** Whether an address is the given one or inside the given CIDR range; false when either cannot be read. */
export function inRange(address: string, range: string): boolean {
  const family = familyOf(address);
  const [base = "", prefix] = range.trim().split("/");
  if (family === undefined || familyOf(base) !== family) return false;
  const list = new BlockList();
  const bits = prefix === undefined ? (family === "ipv4" ? 32 : 128) : Number(prefix);
  if (!Number.isInteger(bits) || bits < 0 || bits > (family === "ipv4" ? 32 : 128)) return false;
  list.addSubnet(base, bits, family);
  return list.check(address, family);
}

/** `10.0.0.1`, `::1` or `10.0.0.0/8`. */
export function isAddressOrRange(text: string): boolean {
  const [base = "", prefix, ...rest] = text.split("/");
  const family = familyOf(base);
  if (family === undefined || rest.length > 0) return false;
  return (
    prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === "ipv4" ? 32 : 128))
  );
}

function familyOf(address: string): "ipv4" | "ipv6" | undefined {
  const version = isIP(address);
  return version === 4 ? "ipv4" : version === 6 ? "ipv6" : undefined;
}
