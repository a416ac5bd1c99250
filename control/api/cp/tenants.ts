import { Hono } from "hono";
import { z } from "zod";
import { UserError } from "../../../shared/errors.ts";
import { newTenantId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { createTenantSchema } from "../../../shared/protocol/cp.ts";
import { HEADERS } from "../../../shared/protocol/headers.ts";
import { sha256Hex } from "../../../shared/protocol/mac.ts";
import { createTenant } from "../../domain/create-tenant.ts";
import { listTenants } from "../../domain/list-tenants.ts";
import type { Control } from "../../service.ts";
import { readBody, readQuery } from "../http.ts";
import { scope } from "./bearer.ts";
import { type CpEnv, type Operator, auditName } from "./operator.ts";
import { knownTenant } from "./known-tenant.ts";
import { tenantView } from "./tenant-view.ts";

const listQuerySchema = z.object({
  search: z.string().max(63).optional(),
  limit: z.coerce.number().int().min(1).max(limits.tenantsPageMax).default(limits.tenantsPageDefault),
  after: z.string().max(63).optional(),
});

export function tenantsApp(control: Control): Hono<CpEnv> {
  const { table, store, runner, randomBytes } = control;
  const app = new Hono<CpEnv>();

  app.post("/", scope("write"), async (context) => {
    const body = await readBody(context, createTenantSchema);
    const operator = context.get("operator");
    const used = idempotency(operator, context.req.header(HEADERS.idempotencyKey), body);
    const meta = runner.meta(auditName(operator));
    const id = newTenantId(randomBytes);
    const tenant = await runner.run((view) =>
      createTenant(view, { meta, id, ...body, ...(used === undefined ? {} : { idempotency: used }) }),
    );
    return context.json(tenantView(table, tenant), 201);
  });

  app.get("/", scope("read"), async (context) => {
    const { search, limit, after } = readQuery(context, listQuerySchema);
    await runner.confirm(AbortSignal.timeout(limits.controlRequestMs));
    const page = await listTenants(store, table, {
      limit,
      ...(search === undefined ? {} : { search }),
      ...(after === undefined ? {} : { after }),
    });
    return context.json({
      tenants: page.tenants.map((tenant) => tenantView(table, tenant)),
      ...(page.next === undefined ? {} : { next: page.next }),
    });
  });

  app.get("/:slug", scope("read"), async (context) =>
    context.json(tenantView(table, await knownTenant(control, context.req.param("slug")))),
  );

  return app;
}

/** A key means something only to the token that sent it. */
function idempotency(
  operator: Operator,
  header: string | undefined,
  body: unknown,
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
    request: sha256Hex(`create tenant ${JSON.stringify(body)}`),
  };
}
