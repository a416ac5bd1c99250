import { Hono } from "hono";
import { limits } from "../../../shared/limits.ts";
import type { Control } from "../../service.ts";
import { limitBody } from "../http.ts";
import { bearer, scope } from "./bearer.ts";
import { createSuperuser } from "./superusers.ts";
import { tenantsApp } from "./tenants.ts";
import { createTicket } from "./tickets.ts";
import type { CpEnv } from "./operator.ts";
import { workerViews } from "./worker-views.ts";

/** `/api/cp/*` (shared/protocol/cp.ts), for operators with a token. */
export function cpApp(control: Control): Hono<CpEnv> {
  const { table, runner } = control;
  const app = new Hono<CpEnv>();
  app.use("*", bearer(control), limitBody(limits.controlBodyBytesMax));
  app.get("/health", scope("read"), async (context) => {
    await runner.confirm(AbortSignal.timeout(limits.controlRequestMs));
    return context.json({ status: "ok", revision: table.revision });
  });
  app.get("/workers", scope("read"), (context) => context.json({ workers: workerViews(control) }));
  app.post("/tenants/:slug/tickets", scope("tenant-admin"), (context) => createTicket(control, context));
  app.post("/tenants/:slug/superusers", scope("tenant-admin"), (context) =>
    createSuperuser(control, context),
  );
  app.route("/tenants", tenantsApp(control));
  return app;
}
