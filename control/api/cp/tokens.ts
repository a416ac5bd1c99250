import { z } from "zod";
import { createTokenSchema, newTokenSchema, tokenViewSchema } from "../../../shared/protocol/cp.ts";
import type { TokenView } from "../../../shared/protocol/cp.ts";
import { sha256Hex } from "../../../shared/protocol/mac.ts";
import { createToken, revokeToken, tokenId } from "../../domain/operator-tokens.ts";
import type { TokenRecord } from "../../domain/records.ts";
import { newOperatorToken } from "../../domain/token-text.ts";
import { limits } from "../../../shared/limits.ts";
import { type Operation, operation } from "./operation.ts";
import { auditName } from "./operator.ts";

export const tokenOperations: readonly Operation[] = [
  operation({
    method: "POST",
    path: "/tokens",
    summary: "Make an operator token with at most your own scopes; the answer shows it once",
    scope: "write",
    body: createTokenSchema,
    answer: newTokenSchema,
    status: 201,
    async handle({ control, operator, body }) {
      const { runner, randomBytes, table } = control;
      const token = newOperatorToken(randomBytes);
      const meta = runner.meta(auditName(operator));
      const command = { meta, sha256: sha256Hex(token), name: body.name, scopes: [...new Set(body.scopes)] };
      await runner.run((view) => createToken(view, command, operator.scopes));
      const made = [...table.tokens()].find(([sha256]) => sha256 === command.sha256);
      return { value: { ...tokenView(made ?? [command.sha256, recordOf(command, meta.atMs)]), token } };
    },
  }),
  operation({
    method: "GET",
    path: "/tokens",
    summary: "List operator tokens, without the tokens themselves",
    scope: "read",
    answer: z.object({ tokens: z.array(tokenViewSchema) }),
    async handle({ control }) {
      await control.runner.confirm(AbortSignal.timeout(limits.controlRequestMs));
      const tokens = [...control.table.tokens()].map(tokenView);
      return { value: { tokens: tokens.toSorted((a, b) => (a.created < b.created ? -1 : 1)) } };
    },
  }),
  operation({
    method: "DELETE",
    path: "/tokens/:id",
    summary: "Revoke an operator token",
    scope: "write",
    answer: tokenViewSchema,
    async handle({ control, operator, param }) {
      const { runner } = control;
      const meta = runner.meta(auditName(operator));
      const revoked = await runner.run((view) => revokeToken(view, meta, param("id")));
      return { value: tokenView([param("id"), revoked]) };
    },
  }),
];

function tokenView([sha256, { name, scopes, created }]: [string, TokenRecord]): TokenView {
  return { id: tokenId(sha256), name, scopes, created };
}

function recordOf({ name, scopes }: Pick<TokenRecord, "name" | "scopes">, atMs: number): TokenRecord {
  return { name, scopes, created: new Date(atMs).toISOString() };
}
