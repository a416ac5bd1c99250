import { Hono } from "hono";
import { UserError } from "../../shared/errors.ts";
import type { Control } from "../service.ts";
import { cpApp } from "./cp/app.ts";
import { answerError } from "./http.ts";
import { internalApp } from "./internal/app.ts";

/** Everything that a control replica answers: `/v1/*` to rooms, `/api/cp/*` to operators. */
export function controlApp(control: Control): Hono {
  return new Hono()
    .get("/v1/health", (context) => context.json({ ok: true }))
    .route("/v1", internalApp(control))
    .route("/api/cp", cpApp(control))
    .notFound((context) =>
      answerError(
        new UserError("not_found", `Cannot find ${context.req.method} ${context.req.path}: no such path`),
        control.log,
      ),
    )
    .onError((error) => answerError(error, control.log));
}
