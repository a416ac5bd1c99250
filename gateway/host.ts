import { limits } from "../shared/limits.ts";
import { type Slug, RESERVED_SLUGS, parseSlug } from "../shared/ids.ts";
import type { Incoming } from "./proxy/incoming.ts";

/** What a host name stands for on this platform. */
export type HostMeaning =
  | { kind: "operators" }
  | { kind: "customers" }
  | { kind: "tenant"; slug: Slug }
  /** The base domain itself, or an address: nobody's. */
  | { kind: "base" }
  /** Another platform's, or a tenant's own: `name` without port and ending dot. */
  | { kind: "foreign"; name: string }
  | { kind: "malformed" };

const HOST = /^(?:\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?\.?)(?::[0-9]{1,5})?$/;

/**
 * Reads a Host header strictly: lower-cased, an ending dot and the port dropped; `<slug>.<domain>` is a tenant, one label deep.
 * Unicode names are read as their punycode (`xn--…`), which are plain labels.
 */
export function readHost(header: string | null, domain: string): HostMeaning {
  const host = asciiHost(header ?? "").toLowerCase();
  if (!HOST.test(host)) return { kind: "malformed" };
  const name = host.replace(/:[0-9]+$/, "").replace(/\.$/, "");
  if (name === domain || name === "localhost" || name.startsWith("[") || /^[0-9.]+$/.test(name))
    return { kind: "base" };
  if (!name.endsWith(`.${domain}`)) return { kind: "foreign", name };
  const label = name.slice(0, -domain.length - 1);
  if (label === "admin") return { kind: "operators" };
  if (label === "app") return { kind: "customers" };
  if (RESERVED_SLUGS.has(label)) return { kind: "base" };
  try {
    return { kind: "tenant", slug: parseSlug(label) };
  } catch {
    return { kind: "malformed" };
  }
}

/**
 * Browsers send punycode, other clients may send UTF-8, which a header's value shows byte by byte. The platform's URL parser knows the
 * rules (IDNA, UTS 46); only the name is given to it, because it would also take what is no host.
 *
 * @returns the same text when it is ASCII, "" when it is no name
 */
export function asciiHost(host: string): string {
  if (!/[^ -~]/.test(host)) return host;
  const [, raw = "", port = ""] = /^([^:@/?#\\\s%]{1,255})(:[0-9]{1,5})?$/.exec(host) ?? [];
  try {
    const name = /[\u0100-\uffff]/.test(raw)
      ? raw
      : new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(raw, (c) => c.charCodeAt(0)));
    return raw === "" ? "" : new URL(`http://${name}`).hostname + port;
  } catch {
    return "";
  }
}

/** `readHost` for one domain, which remembers what it read: the same few names come with every request. */
export class Hosts {
  readonly #domain: string;
  readonly #read = new Map<string, HostMeaning>();

  constructor(domain: string) {
    this.#domain = domain;
  }

  read(header: string | null): HostMeaning {
    const known = header === null ? undefined : this.#read.get(header);
    if (known !== undefined) return known;
    const host = readHost(header, this.#domain);
    if (header !== null && header.length <= limits.hostCharactersMax) {
      if (this.#read.size >= limits.hostsReadMax) this.#read.clear();
      this.#read.set(header, host);
    }
    return host;
  }
}

/** Paths and queries whose parts stay as they are when they are parsed: without `/.`, which is looked for apart, and what would be escaped. */
const SAFE = String.raw`[\w\-.~/:@!$&()*+,;=]`;
const PATHNAME = String.raw`\/${SAFE}*(?:%(?!2e)${SAFE}*)*`;
const QUERY = String.raw`\?[\w\-.~/:@!$&()*+,;=%?]`;
const PLAIN = new RegExp(String.raw`^(?:https?:\/\/[^/?#\\]+)?(${PATHNAME})(${QUERY}*)?$`, "i");
/** The same without a host, and with a query that says something. */
const PATH = new RegExp(`^${PATHNAME}(?:${QUERY}+)?$`, "i");

/** The request's path and query. */
export function pathOf({ url }: Pick<Incoming, "url">): { pathname: string; search: string } {
  const plain = PLAIN.exec(url);
  const pathname = plain?.[1];
  if (pathname === undefined || pathname.includes("/.")) {
    return new URL(url.startsWith("/") ? `http://gateway${url}` : url);
  }
  const search = plain?.[2] ?? "";
  return { pathname, search: search === "?" ? "" : search };
}

/** Both in one, as they go on: mostly the address itself. */
export function pathAndQueryOf(request: Pick<Incoming, "url">): string {
  const { url } = request;
  if (PATH.test(url) && !url.includes("/.")) return url;
  const { pathname, search } = pathOf(request);
  return pathname + search;
}
