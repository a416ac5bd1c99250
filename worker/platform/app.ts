import { UserError } from "../../shared/errors.ts";
import { superuserRequestSchema } from "../../shared/protocol/cp.ts";
import type { TicketAction } from "../../shared/protocol/internal.ts";
import type { Keyring } from "../../shared/protocol/keys.ts";
import { verifyTicket } from "../../shared/protocol/ticket.ts";
import { openInstaller } from "../auth/installer.ts";
import { upsertSuperuser } from "../auth/superuser.ts";
import type { TenantApp, TenantRequest } from "../http/contract.ts";
import type { StrongFactor } from "../pb/sign-in.ts";
import { Exporter } from "./export-tenant.ts";
import { importTenant } from "./import-tenant.ts";
import { POINT_ACTIONS } from "./points.ts";
import { usageOf } from "./usage.ts";

/** Platform operations on one tenant, by ticket (shared/protocol/internal.ts). Errors are thrown: the server answers them. */
export function createPlatformApp(options: {
  keys: Keyring;
  /** What a superuser may have lost. */
  factors: readonly StrongFactor[];
  temporary?: string;
}): TenantApp {
  const { keys, factors, temporary } = options;
  const exporter = new Exporter(temporary === undefined ? {} : { temporary });
  return async (context) => {
    const { pathname } = new URL(context.request.url);
    const action = `${context.request.method} ${pathname}`;
    if (action === "POST /_manybase/import") {
      authorize(context, keys, "import");
      return Response.json(await importTenant(context, temporary));
    }
    if (action === "GET /_manybase/export") {
      authorize(context, keys, "export");
      return await exporter.export(context);
    }
    if (action === "GET /_manybase/usage") {
      authorize(context, keys, "usage");
      return Response.json(await usageOf(context.tenant));
    }
    const pointInTime = POINT_ACTIONS[action];
    if (pointInTime !== undefined) {
      authorize(context, keys, pointInTime.ticket);
      return Response.json(await pointInTime.answer(context, temporary));
    }
    if (action === "POST /_manybase/installer") {
      authorize(context, keys, "installer");
      return Response.json(await openInstaller(context.tenant, context.seen));
    }
    if (action === "POST /_manybase/superusers") {
      authorize(context, keys, "superuser");
      const body = superuserRequestSchema.safeParse(await context.request.json().catch(() => undefined));
      if (!body.success) {
        throw new UserError(
          "invalid_body",
          `Cannot make a superuser: ${body.error.issues[0]?.message ?? "bad body"}`,
        );
      }
      const { email, password, resetMfa } = body.data;
      return Response.json(
        await upsertSuperuser(context.tenant, context.seen, email, password, (tx, record) => {
          if (resetMfa === true) for (const factor of factors) factor.forget(tx, record);
        }),
      );
    }
    throw new UserError("not_found", `Cannot ${context.request.method} ${pathname}: no such operation`);
  };
}

function authorize(context: TenantRequest, keys: Keyring, action: TicketAction): void {
  const [scheme, text] = (context.request.headers.get("authorization") ?? "").split(" ");
  const ticket = scheme === "Ticket" && text !== undefined ? verifyTicket(keys, text, Date.now()) : undefined;
  if (ticket === undefined || ticket.tenant !== context.tenant.id || ticket.action !== action) {
    throw new UserError(
      "unauthorized",
      "Cannot do this: the ticket is missing, expired or for something else",
      {
        hint: "Ask control for one: POST /api/cp/tenants/<slug>/tickets.",
      },
    );
  }
}
