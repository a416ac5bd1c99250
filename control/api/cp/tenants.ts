import { z } from "zod";
import { UserError } from "../../../shared/errors.ts";
import { newTenantId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { createTenantSchema, tenantViewSchema, updateTenantSchema } from "../../../shared/protocol/cp.ts";
import { HEADERS } from "../../../shared/protocol/headers.ts";
import { sha256Hex } from "../../../shared/protocol/mac.ts";
import { createTenant } from "../../domain/create-tenant.ts";
import { listTenants } from "../../domain/list-tenants.ts";
import { updateTenant } from "../../domain/update-tenant.ts";
import { knownTenant } from "./known-tenant.ts";
import { type Operation, operation } from "./operation.ts";
import { type Operator, auditName } from "./operator.ts";
import { tenantView } from "./tenant-view.ts";

const listQuerySchema = z.object({
  search: z.string().max(63).optional(),
  limit: z.coerce.number().int().min(1).max(limits.tenantsPageMax).default(limits.tenantsPageDefault),
  after: z.string().max(63).optional(),
});

export const tenantOperations: readonly Operation[] = [
  operation({
    method: "POST",
    path: "/tenants",
    summary: "Make a tenant",
    scope: "write",
    body: createTenantSchema,
    answer: tenantViewSchema,
    status: 201,
    idempotent: true,
    async handle({ control, operator, header, body }) {
      const { table, runner, randomBytes, settings } = control;
      const encrypted = body.encrypted ?? settings.encryptTenants;
      const storageBytesMax =
        body.storageBytesMax === undefined ? settings.storageBytesMax : (body.storageBytesMax ?? undefined);
      const used = idempotency(operator, header(HEADERS.idempotencyKey), body);
      const meta = runner.meta(auditName(operator));
      const id = newTenantId(randomBytes);
      const tenant = await runner.run((view) =>
        createTenant(view, {
          ...{ meta, id, ...body, encrypted, storageBytesMax },
          ...(used === undefined ? {} : { idempotency: used }),
        }),
      );
      return { value: tenantView(table, tenant) };
    },
  }),
  operation({
    method: "GET",
    path: "/tenants",
    summary: "List tenants by slug, page by page",
    scope: "read",
    query: listQuerySchema,
    answer: z.object({ tenants: z.array(tenantViewSchema), next: z.string().optional() }),
    async handle({ control, query: { search, limit, after } }) {
      const { table, store, runner } = control;
      await runner.confirm(AbortSignal.timeout(limits.controlRequestMs));
      const page = await listTenants(store, table, {
        limit,
        ...(search === undefined ? {} : { search }),
        ...(after === undefined ? {} : { after }),
      });
      return {
        value: {
          tenants: page.tenants.map((tenant) => tenantView(table, tenant)),
          ...(page.next === undefined ? {} : { next: page.next }),
        },
      };
    },
  }),
  operation({
    method: "GET",
    path: "/tenants/:slug",
    summary: "Look at a tenant",
    scope: "read",
    answer: tenantViewSchema,
    async handle({ control, param }) {
      return { value: tenantView(control.table, await knownTenant(control, param("slug"))) };
    },
  }),
  operation({
    method: "PATCH",
    path: "/tenants/:slug",
    summary:
      "Rename a tenant, change when its writes are acknowledged or its storage quota (its worker loads it anew), or its limits at gateways",
    scope: "write",
    body: updateTenantSchema,
    answer: tenantViewSchema,
    async handle({
      control,
      operator,
      param,
      body: { slug, durability, limits: bounds, region, storageBytesMax },
    }) {
      const { table, runner } = control;
      const { id } = await knownTenant(control, param("slug"));
      const meta = runner.meta(auditName(operator));
      const tenant = await runner.run((view) =>
        updateTenant(view, {
          meta,
          id,
          ...(slug === undefined ? {} : { slug }),
          ...(durability === undefined ? {} : { durability }),
          ...(bounds === undefined ? {} : { limits: bounds }),
          ...(region === undefined ? {} : { region }),
          ...(storageBytesMax === undefined ? {} : { storageBytesMax }),
        }),
      );
      return { value: tenantView(table, tenant) };
    },
  }),
];

/** A key means something only to the token that sent it. */
export function idempotency(
  operator: Operator,
  header: string | undefined,
  body: unknown,
  verb = "create tenant",
): { key: string; request: string } | undefined {
  if (header === undefined) return undefined;
  if (header === "" || header.length > limits.idempotencyKeyCharactersMax) {
    throw new UserError(
      "invalid_body",
      `Cannot read request: the ${HEADERS.idempotencyKey} header is not 1 to ${limits.idempotencyKeyCharactersMax} characters`,
    );
  }
  return {
    key: sha256Hex(`${operator.sha256} ${header}`),
    request: sha256Hex(`${verb} ${JSON.stringify(body)}`),
  };
}
