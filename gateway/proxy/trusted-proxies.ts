import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import type { Client } from "./exchange.ts";
import type { FieldReader } from "./incoming.ts";

interface Network {
  address: bigint;
  shift: bigint;
}

/** Whether the proxy at this address is believed when it says whom it forwards. */
export type TrustedProxies = (address: string) => boolean;

/**
 * Networks as `10.0.0.0/8`, `::1/128` or one address, separated by commas.
 *
 * @throws UserError `invalid_option`
 */
export function parseTrustedProxies(text: string, name: string): TrustedProxies {
  const networks = text.split(",").map((part): Network => {
    const [base = "", bits, ...more] = part.trim().split("/");
    const address = parseAddress(base);
    // IPv4 is kept as its IPv6 form, 96 bits longer.
    const offset = base.includes(":") ? 0 : 96;
    const length = bits === undefined ? 128 : offset + Number(bits);
    const malformed = more.length > 0 || (bits !== undefined && !/^[0-9]{1,3}$/.test(bits));
    if (address === undefined || malformed || length > 128) {
      throw new UserError("invalid_option", `Cannot read ${name}: ${JSON.stringify(part)} is no network`, {
        hint: "Give addresses or networks, e.g. 127.0.0.1,10.0.0.0/8.",
      });
    }
    const shift = BigInt(128 - length);
    return { address: address >> shift, shift };
  });
  if (networks.length > limits.trustedProxiesMax) {
    throw new UserError("invalid_option", `Cannot read ${name}: more than ${limits.trustedProxiesMax}`);
  }
  return (given) => {
    const address = parseAddress(given);
    return address !== undefined && networks.some((network) => address >> network.shift === network.address);
  };
}

/**
 * Who is behind a believed proxy: of `x-forwarded-for`, read from its end, the first address that is no believed proxy itself; what a
 * client wrote into the header comes before that and counts nothing. From anybody else the headers are what a client says of itself.
 */
export function clientBehind(trusted: TrustedProxies, headers: FieldReader, client: Client): Client {
  if (!trusted(client.address)) return client;
  let { address } = client;
  const chain = (headers.get(HEADERS.forwardedFor) ?? "").split(",");
  for (let last = chain.pop(); last !== undefined; last = chain.pop()) {
    const hop = last.trim();
    if (parseAddress(hop) === undefined) break;
    address = hop;
    if (!trusted(hop)) break;
  }
  const protocol = headers.get(HEADERS.forwardedProto)?.split(",").at(-1)?.trim().toLowerCase();
  return { address, protocol: protocol === "https" || protocol === "http" ? protocol : client.protocol };
}

/** An address as 128 bits, IPv4 as `::ffff:a.b.c.d`. */
function parseAddress(text: string): bigint | undefined {
  const v4 = parseV4(text);
  if (v4 !== undefined) return MAPPED | v4;
  if (text.length > 45 || !/^[0-9a-f:.]+$/i.test(text) || !text.includes(":")) return undefined;
  const [head = "", tail, ...more] = text.split("::");
  if (more.length > 0) return undefined;
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  if (front === undefined || back === undefined) return undefined;
  const missing = 8 - front.length - back.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const all = [...front, ...Array<number>(missing).fill(0), ...back];
  return all.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n);
}

const MAPPED = 0xffffn << 32n;

function groups(text: string): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const numbers: number[] = [];
  for (const [i, part] of parts.entries()) {
    const v4 = i === parts.length - 1 ? parseV4(part) : undefined;
    if (v4 !== undefined) numbers.push(Number(v4 >> 16n), Number(v4 & 0xffffn));
    else if (/^[0-9a-f]{1,4}$/i.test(part)) numbers.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return numbers;
}

function parseV4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (
    parts.length !== 4 ||
    !parts.every((part) => /^(?:0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256)
  ) {
    return undefined;
  }
  return parts.reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
}
