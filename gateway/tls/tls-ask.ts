import { UserError } from "../../shared/errors.ts";
import type { Slug } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { readHost } from "../host.ts";
import { RateLimiter, refuseWhenEmpty } from "../proxy/rate-limits.ts";
import type { RouteSource } from "../routes/route-source.ts";
import type { RouteTable } from "../routes/route-table.ts";
import type { Incoming } from "../proxy/incoming.ts";

export const TLS_ASK_PATH = "/_manybase/tls-ask";

export interface TlsAskParts {
  domain: string;
  table: RouteTable;
  source: RouteSource;
}

/**
 * Whether a proxy in front should get a certificate for a host name, which is what Caddy's on-demand TLS asks: 200 for tenants'
 * names and the platform's, 404 for all else. Without the question anybody could make the proxy ask a certificate authority for any name.
 */
export class TlsAsk {
  readonly #parts: TlsAskParts;
  /** All who ask together: certificate authorities have limits per account, and a proxy remembers what it was told. */
  readonly #rate = new RateLimiter({
    perSecond: limits.tlsAsksPerSecond,
    burst: limits.tlsAsksPerSecond * 4,
  });

  constructor(parts: TlsAskParts) {
    this.#parts = parts;
  }

  /** @throws UserError `method_not_allowed`, `rate_limited`, `invalid_host`, `tenant_not_found`; SystemError `control_unreachable` */
  async answer(request: Incoming, query: URLSearchParams): Promise<Response> {
    if (request.method !== "GET" && request.method !== "HEAD") {
      throw new UserError("method_not_allowed", "Cannot answer this: ask by GET");
    }
    refuseWhenEmpty(this.#rate.take(""), "whoever asks for certificates");
    const asked = query.get("domain") ?? "";
    if (!(await this.#isOurs(asked))) {
      throw new UserError("tenant_not_found", "Cannot vouch for this host name: nobody here has it");
    }
    return new Response("ok\n", { headers: { "cache-control": "no-store", "content-type": "text/plain" } });
  }

  async #isOurs(asked: string): Promise<boolean> {
    const host = readHost(asked, this.#parts.domain);
    if (host.kind === "malformed" || asked.includes(":")) {
      throw new UserError("invalid_host", "Cannot read the domain of this question", {
        hint: `Ask ${TLS_ASK_PATH}?domain=<host name>.`,
      });
    }
    if (host.kind === "operators" || host.kind === "customers") return true;
    if (host.kind === "tenant") return this.#isTenant(host.slug);
    return host.kind === "foreign" && (await tenantOfHost(this.#parts, host.name)) !== undefined;
  }

  async #isTenant(slug: Slug): Promise<boolean> {
    const { table, source } = this.#parts;
    const known = table.find(slug) ?? (await found(source.find({ slug }))) ?? undefined;
    return known !== undefined && known.state !== "deleted";
  }
}

/**
 * Whose own host name this is. While the stream is open the table has all of them, so that a crowd of strangers' names costs
 * control nothing.
 *
 * @throws SystemError when control would have to be asked and cannot be
 */
export async function tenantOfHost(
  { table, source }: Omit<TlsAskParts, "domain">,
  name: string,
): Promise<Slug | undefined> {
  const known = table.findHost(name);
  if (known !== undefined || source.following) return known;
  try {
    return (await found(source.find({ host: name })))?.slug;
  } catch (error) {
    const stale = table.findStaleHost(name);
    if (stale !== undefined) return stale;
    throw error;
  }
}

async function found<T>(question: Promise<T>): Promise<T | undefined> {
  try {
    return await question;
  } catch (error) {
    if (error instanceof UserError && error.status === 404) return undefined;
    throw error;
  }
}
