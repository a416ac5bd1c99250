import { UserError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Op } from "../store/contract.ts";
import { type Meta, audit, isoTime } from "../domain/audit.ts";
import { domainKey, tenantKey } from "../domain/keys.ts";
import type { DomainRecord, TenantRecord } from "../domain/records.ts";
import { requireTenant } from "../domain/tenant-parts.ts";
import { type Decision, type View, draft, put, remove } from "../domain/view.ts";

/*
 * nothing → claimed (a token to put into DNS) → verified (routed) → nothing. A name has at most one record, so at most one tenant.
 * A claim that is not proved within domainClaimMs no longer keeps others out: nobody can reserve names that are not theirs.
 */

export interface DomainCommand {
  meta: Meta;
  id: TenantId;
  /** As parse-domain.ts gives it. */
  domain: string;
}

/** Rejects with UserError `tenant_not_found`, `conflict`, `domain_taken`. The same claim again gives the same token. */
export function claimDomain(view: View, command: DomainCommand & { token: string }): Decision<DomainRecord> {
  const { meta, id, domain, token } = command;
  const tenant = requireTenant(view, id);
  if ("reject" in tenant) return tenant;
  const known = view.get(domainKey(domain));
  if (known?.tenant === id) return { settled: known };
  if (tenant.state === "deleted") {
    return { reject: new UserError("conflict", `Cannot add ${domain} to ${tenant.slug}: it is deleted`) };
  }
  if (known !== undefined && !ranOut(known, meta.atMs)) return { reject: taken(known) };
  const claims = tenant.domainClaims ?? [];
  if (claims.length + (tenant.domains ?? []).length >= limits.tenantDomainsMax) {
    return {
      reject: new UserError(
        "conflict",
        `Cannot add ${domain} to ${tenant.slug}: it has ${limits.tenantDomainsMax} domains`,
        { hint: "Remove one first." },
      ),
    };
  }
  const made: DomainRecord = { domain, tenant: id, token, created: isoTime(meta.atMs) };
  const loser = known === undefined ? undefined : view.get(tenantKey(known.tenant));
  return {
    draft: draft(
      view,
      [domainKey(domain), tenantKey(id), ...(known === undefined ? [] : [tenantKey(known.tenant)])],
      [
        put(domainKey(domain), made),
        put(tenantKey(id), changed(tenant, meta, { domainClaims: [...claims, domain] })),
        ...(loser === undefined ? [] : [put(tenantKey(loser.id), without(loser, meta, domain))]),
        audit(meta, "domain.claim", id, { domain, ...(loser === undefined ? {} : { from: loser.id }) }),
      ],
    ),
    value: made,
  };
}

/**
 * The token was found in DNS. Rejects with UserError `tenant_not_found`, or `not_found` when the claim is gone.
 *
 * @param token the one that was looked for: a claim made anew meanwhile has another one
 */
export function proveDomain(view: View, command: DomainCommand & { token: string }): Decision<DomainRecord> {
  const { meta, id, domain, token } = command;
  const tenant = requireTenant(view, id);
  if ("reject" in tenant) return tenant;
  const known = view.get(domainKey(domain));
  if (known?.tenant !== id || known.token !== token) return { reject: noSuchDomain(domain) };
  if (known.verified !== undefined) return { settled: known };
  const proved: DomainRecord = { ...known, verified: isoTime(meta.atMs) };
  const next = changed(without(tenant, meta, domain), meta, {
    domains: [...(tenant.domains ?? []), domain],
  });
  return {
    draft: draft(
      view,
      [domainKey(domain), tenantKey(id)],
      [
        put(domainKey(domain), proved),
        put(tenantKey(id), next),
        audit(meta, "domain.verify", id, { domain }),
      ],
    ),
    value: proved,
  };
}

/** Rejects with UserError `tenant_not_found` or `not_found`. */
export function removeDomain(view: View, { meta, id, domain }: DomainCommand): Decision<DomainRecord> {
  const tenant = requireTenant(view, id);
  if ("reject" in tenant) return tenant;
  const known = view.get(domainKey(domain));
  if (known?.tenant !== id) return { reject: noSuchDomain(domain) };
  const then: Op[] = [
    remove(domainKey(domain)),
    put(tenantKey(id), without(tenant, meta, domain)),
    audit(meta, "domain.remove", id, { domain, verified: known.verified !== undefined }),
  ];
  return { draft: draft(view, [domainKey(domain), tenantKey(id)], then), value: known };
}

/** A tenant's names, claimed ones too, in the order in which they came. */
export function domainsOf(view: View, tenant: TenantRecord): DomainRecord[] {
  return [...(tenant.domains ?? []), ...(tenant.domainClaims ?? [])]
    .map((domain) => view.get(domainKey(domain)))
    .filter((record) => record !== undefined)
    .filter((record) => record.tenant === tenant.id);
}

export function noSuchDomain(domain: string): UserError {
  return new UserError("not_found", `Cannot find domain ${domain}: this tenant has not claimed it`);
}

function ranOut({ verified, created }: DomainRecord, nowMs: number): boolean {
  return verified === undefined && Date.parse(created) + limits.domainClaimMs <= nowMs;
}

function taken({ domain, verified, created }: DomainRecord): UserError {
  const until = isoTime(Date.parse(created) + limits.domainClaimMs);
  return new UserError(
    "domain_taken",
    `Cannot add ${domain}: another tenant has ${verified === undefined ? "claimed" : "verified"} it`,
    {
      ...(verified === undefined ? { hint: `The claim ends at ${until} unless it is verified.` } : {}),
      details: { fields: { domain: "in use" } },
    },
  );
}

function changed(tenant: TenantRecord, meta: Meta, change: Partial<TenantRecord>): TenantRecord {
  return { ...tenant, ...change, updated: isoTime(meta.atMs) };
}

function without(tenant: TenantRecord, meta: Meta, domain: string): TenantRecord {
  const { domains, domainClaims, ...rest } = tenant;
  const left = (names: string[] | undefined): string[] => (names ?? []).filter((name) => name !== domain);
  const [verified, claimed] = [left(domains), left(domainClaims)];
  return {
    ...rest,
    ...(verified.length === 0 ? {} : { domains: verified }),
    ...(claimed.length === 0 ? {} : { domainClaims: claimed }),
    updated: isoTime(meta.atMs),
  };
}
