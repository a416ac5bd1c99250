import { Hono } from "hono";
import { parseRevision } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { findRequestSchema, resolveRequestSchema } from "../../../shared/protocol/internal.ts";
import { findTenant, noSuchTenant } from "../../domain/find-tenant.ts";
import { routeOf } from "../../domain/route.ts";
import { ThawOnRequest } from "../../life/thaw-on-request.ts";
import type { Control } from "../../service.ts";
import { readBody } from "../http.ts";
import { routeSnapshot } from "./route-snapshot.ts";
import { RouteStreams } from "./route-stream.ts";

export function routesApp(control: Control): Hono {
  const { table, runner, resolver, settings } = control;
  const thaws = new ThawOnRequest({ table, runner, thawOnRequest: settings.thawOnRequest });
  const streams = new RouteStreams(control);
  const app = new Hono();
  app.post("/resolve", async (context) => {
    const request = await readBody(context, resolveRequestSchema);
    return context.json(await thaws.begin(await resolver.resolve(request)));
  });
  app.post("/find", async (context) => {
    const request = await readBody(context, findRequestSchema);
    let tenant = findTenant(table, request);
    if (tenant === undefined) {
      await runner.confirm(AbortSignal.timeout(limits.controlRequestMs));
      tenant = findTenant(table, request);
    }
    if (tenant === undefined) throw noSuchTenant("slug" in request ? request.slug : request.host);
    return context.json(routeOf(table, tenant));
  });
  app.get("/", () => routeSnapshot(table));
  app.get("/stream", async (context) => {
    const from = parseRevision(context.req.query("from"));
    // A reader may be ahead of a replica that lags, but not of the newest state.
    if (from > table.revision) await runner.confirm(AbortSignal.timeout(limits.controlRequestMs));
    return streams.open(from, context.req.raw.signal);
  });
  return app;
}
