import { z } from "zod";
import { randomText } from "../../../shared/ids.ts";
import { addDomainSchema, domainViewSchema } from "../../../shared/protocol/cp.ts";
import { claimDomain, domainsOf, removeDomain } from "../../domains/claims.ts";
import { parseDomain } from "../../domains/parse-domain.ts";
import { challengeName, verifyDomain } from "../../domains/verify-domain.ts";
import type { DomainRecord } from "../../domain/records.ts";
import { knownTenant } from "./known-tenant.ts";
import { type Operation, operation } from "./operation.ts";
import { auditName } from "./operator.ts";

const TOKEN_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";
const TOKEN_CHARACTERS = 32;

export const domainOperations: readonly Operation[] = [
  operation({
    method: "GET",
    path: "/tenants/:slug/domains",
    summary: "List a tenant's own host names, verified and claimed",
    scope: "read",
    answer: z.object({ domains: z.array(domainViewSchema) }),
    async handle({ control, param }) {
      const tenant = await knownTenant(control, param("slug"));
      return { value: { domains: domainsOf(control.table, tenant).map(domainView) } };
    },
  }),
  operation({
    method: "POST",
    path: "/tenants/:slug/domains",
    summary: "Claim a host name for a tenant; it serves once its TXT record is set and verified",
    scope: "write",
    body: addDomainSchema,
    answer: domainViewSchema,
    status: 201,
    async handle({ control, operator, param, body }) {
      const { runner, randomBytes } = control;
      const domain = parseDomain(body.domain, control.domain);
      const { id } = await knownTenant(control, param("slug"));
      const meta = runner.meta(auditName(operator));
      const token = `mbd_${randomText(TOKEN_CHARACTERS, TOKEN_ALPHABET, randomBytes)}`;
      const claimed = await runner.run((view) => claimDomain(view, { meta, id, domain, token }));
      return { value: domainView(claimed) };
    },
  }),
  operation({
    method: "POST",
    path: "/tenants/:slug/domains/:domain/verify",
    summary: "Look for a claim's TXT record; when it is there the host name serves",
    scope: "write",
    answer: domainViewSchema,
    async handle({ control, operator, param }) {
      const domain = parseDomain(param("domain"), control.domain);
      const tenant = await knownTenant(control, param("slug"));
      const meta = control.runner.meta(auditName(operator));
      return { value: domainView(await verifyDomain(control, meta, tenant, domain)) };
    },
  }),
  operation({
    method: "DELETE",
    path: "/tenants/:slug/domains/:domain",
    summary: "Take a host name from a tenant; it stops serving at once",
    scope: "write",
    answer: domainViewSchema,
    async handle({ control, operator, param }) {
      const { runner } = control;
      const domain = parseDomain(param("domain"), control.domain);
      const { id } = await knownTenant(control, param("slug"));
      const meta = runner.meta(auditName(operator));
      const removed = await runner.run((view) => removeDomain(view, { meta, id, domain }));
      return { value: domainView(removed) };
    },
  }),
];

function domainView({ domain, token, created, verified }: DomainRecord): z.infer<typeof domainViewSchema> {
  return {
    domain,
    state: verified === undefined ? "pending" : "verified",
    record: { name: challengeName(domain), type: "TXT", value: token },
    created,
    ...(verified === undefined ? {} : { verified }),
  };
}
