import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Meta } from "../domain/audit.ts";
import { domainKey } from "../domain/keys.ts";
import type { DomainRecord, TenantRecord } from "../domain/records.ts";
import type { Control } from "../service.ts";
import { noSuchDomain, proveDomain } from "./claims.ts";

/** Where the token of a claim is looked for. */
export const challengeName = (domain: string): string => `_manybase.${domain}`;

/**
 * Looks for the claim's token in DNS. A verified domain is not looked up again.
 *
 * @throws UserError `not_found`, `domain_not_proved`; SystemError `domain_lookup_failed`
 */
export async function verifyDomain(
  { table, runner, resolveTxt }: Control,
  meta: Meta,
  { id }: TenantRecord,
  domain: string,
): Promise<DomainRecord> {
  let known = table.get(domainKey(domain));
  if (known?.tenant !== id) {
    await runner.confirm(AbortSignal.timeout(limits.controlRequestMs));
    known = table.get(domainKey(domain));
  }
  if (known?.tenant !== id) throw noSuchDomain(domain);
  if (known.verified !== undefined) return known;
  const { token } = known;
  const name = challengeName(domain);
  const found = await resolveTxt(name);
  if (!found.some((text) => text.trim() === token)) {
    const state = found.length === 0 ? "it has no TXT record" : "none of its TXT records is the token";
    throw new UserError("domain_not_proved", `Cannot verify ${domain}: ${name}: ${state}`, {
      hint: `Set a TXT record at ${name} with the value ${token}; DNS may take a while to show it.`,
      details: { record: { name, type: "TXT", value: token } },
    });
  }
  return runner.run((view) => proveDomain(view, { meta, id, domain, token }));
}
