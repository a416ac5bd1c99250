import type { MiddlewareHandler } from "hono";
import { UserError } from "../../../shared/errors.ts";
import { sha256Hex } from "../../../shared/protocol/mac.ts";
import { tokenKey } from "../../domain/keys.ts";
import type { OperatorScope, TokenRecord } from "../../domain/records.ts";
import { OPERATOR_TOKEN } from "../../domain/token-text.ts";
import type { Control } from "../../service.ts";
import type { CpEnv } from "./operator.ts";

/** `Authorization: Bearer mbo_...`; only the token's hash is known and compared, by lookup. */
export function bearer(control: Control): MiddlewareHandler<CpEnv> {
  const { table, store } = control;
  return async (context, next) => {
    const [, token] = /^Bearer (\S+)$/i.exec(context.req.header("authorization") ?? "") ?? [];
    if (token === undefined || !OPERATOR_TOKEN.test(token)) throw unauthorized();
    const sha256 = sha256Hex(token);
    const key = tokenKey(sha256);
    // Another replica may have made it a moment ago.
    const found = table.get(key) ?? ((await store.get(key))?.value as TokenRecord | undefined);
    if (found === undefined) throw unauthorized();
    context.set("operator", { name: found.name, scopes: found.scopes, sha256 });
    await next();
  };
}

/** Lets an operator pass whose token has the scope. */
export function scope(needed: OperatorScope): MiddlewareHandler<CpEnv> {
  return async (context, next) => {
    if (!context.get("operator").scopes.includes(needed)) {
      throw new UserError("forbidden", `Cannot do this: the token lacks the scope ${needed}`);
    }
    await next();
  };
}

function unauthorized(): UserError {
  return new UserError("unauthorized", "Cannot use the operators' API: no valid operator token", {
    hint: "Send `Authorization: Bearer <operator token>`.",
  });
}
