import { Hono } from "hono";
import { limits } from "../../../shared/limits.ts";
import type { Control } from "../../service.ts";
import { limitBody } from "../http.ts";
import { membersApp } from "./members.ts";
import { signedBy } from "./signed-by.ts";
import { routesApp } from "./routes.ts";
import { workersApp } from "./workers.ts";

/** `/v1/*` (shared/protocol/internal.ts). The gateway key reads routes; all else needs the member key. */
export function internalApp(control: Control): Hono {
  const app = new Hono();
  app.use("/routes/*", limitBody(limits.controlBodyBytesMax), signedBy(control, ["member", "gateway"]));
  app.use("/workers/*", limitBody(limits.memberBodyBytesMax), signedBy(control, ["member"]));
  app.use("/members/*", limitBody(limits.controlBodyBytesMax), signedBy(control, ["member"]));
  app.route("/members", membersApp(control));
  app.route("/routes", routesApp(control));
  app.route("/workers", workersApp(control));
  return app;
}
