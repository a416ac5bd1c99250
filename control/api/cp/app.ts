import { Hono } from "hono";
import { limits } from "../../../shared/limits.ts";
import type { Control } from "../../service.ts";
import { limitBody } from "../http.ts";
import { bearer, scope } from "./bearer.ts";
import { branchOperations } from "./branches.ts";
import { memberOperations } from "./members.ts";
import { metricsOf } from "./metrics.ts";
import { openApiDocument } from "./openapi.ts";
import type { Operation } from "./operation.ts";
import { domainOperations } from "./domains.ts";
import type { CpEnv } from "./operator.ts";
import { platformOperations } from "./platform.ts";
import { superuserOperations } from "./superusers.ts";
import { tenantLifeOperations } from "./tenant-life.ts";
import { tenantOperations } from "./tenants.ts";
import { ticketOperations } from "./tickets.ts";
import { tokenOperations } from "./tokens.ts";
import { workerOperations } from "./workers.ts";

export const OPERATIONS: readonly Operation[] = [
  ...platformOperations,
  ...tenantOperations,
  ...tenantLifeOperations,
  ...domainOperations,
  ...branchOperations,
  ...ticketOperations,
  ...superuserOperations,
  ...workerOperations,
  ...memberOperations,
  ...tokenOperations,
];

/** `/api/cp/*` (shared/protocol/cp.ts), for operators with a token. */
export function cpApp(control: Control): Hono<CpEnv> {
  const app = new Hono<CpEnv>();
  const document = openApiDocument(OPERATIONS);
  const metrics = metricsOf(control);
  // Says nothing of this platform, so it needs no token.
  app.get("/openapi.json", (context) => context.json(document));
  app.use("*", bearer(control), limitBody(limits.controlBodyBytesMax));
  app.get("/metrics", scope("read"), async (context) =>
    context.body(await metrics.metrics(), 200, { "content-type": metrics.contentType }),
  );
  for (const operation of OPERATIONS) operation.mount(app, control);
  return app;
}
