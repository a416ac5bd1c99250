import { BlockList, isIP } from "node:net";

/** Addresses that are not the public internet: this machine, its networks, cloud metadata, multicast, tunnels into those. */
const RANGES = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 3],
  ["::", 96],
  ["::ffff:0:0", 96],
  ["64:ff9b::", 96],
  ["64:ff9b:1::", 48],
  ["100::", 64],
  ["2001::", 32],
  ["2002::", 16],
  ["fc00::", 7],
  ["fe80::", 10],
  ["fec0::", 10],
  ["ff00::", 8],
] as const;

const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
for (const [base, bits] of RANGES) {
  const family = base.includes(":") ? "ipv6" : "ipv4";
  lists[family].addSubnet(base, bits, family);
}

/** What cannot be read as an address is not public. */
export function isPublicAddress(address: string): boolean {
  const version = isIP(address);
  if (version === 0) return false;
  const family = version === 4 ? "ipv4" : "ipv6";
  return !lists[family].check(address, family);
}
