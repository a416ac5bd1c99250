/** `/api/crons`: superusers see the tenant's jobs and start them. */
import type { Crons } from "../../crons/crons.ts";
import { notFound } from "../../pb/api-error.ts";
import type { FeatureRoute } from "../../pb/route.ts";

export function cronRoutes(crons: Crons): readonly FeatureRoute[] {
  return [
    {
      method: "GET",
      path: "/api/crons",
      handle(context) {
        context.requireSuperuser();
        return context.json(200, crons.list(context.tenant, context.seen));
      },
    },
    {
      method: "POST",
      path: "/api/crons/:id",
      handle(context) {
        context.requireSuperuser();
        const isKnown = crons.start(context.tenant, context.seen, context.params["id"] ?? "");
        if (!isKnown) throw notFound("Missing or invalid cron job");
        return context.noContent();
      },
    },
  ];
}
