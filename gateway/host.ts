import { type Slug, RESERVED_SLUGS, parseSlug } from "../shared/ids.ts";

/** What a host name stands for on this platform. */
export type HostMeaning =
  | { kind: "operators" }
  | { kind: "customers" }
  | { kind: "tenant"; slug: Slug }
  /** The base domain itself, or an address: nobody's. */
  | { kind: "base" }
  | { kind: "foreign" }
  | { kind: "malformed" };

const HOST = /^(?:\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?\.?)(?::[0-9]{1,5})?$/;

/**
 * Reads a Host header strictly: lower-cased, an ending dot and the port dropped; `<slug>.<domain>` is a tenant, one label deep.
 * Unicode names arrive as punycode (`xn--…`), which are plain labels.
 */
export function readHost(header: string | null, domain: string): HostMeaning {
  const host = (header ?? "").toLowerCase();
  if (!HOST.test(host)) return { kind: "malformed" };
  const name = host.replace(/:[0-9]+$/, "").replace(/\.$/, "");
  if (name === domain || name === "localhost" || name.startsWith("[") || /^[0-9.]+$/.test(name))
    return { kind: "base" };
  if (!name.endsWith(`.${domain}`)) return { kind: "foreign" };
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
