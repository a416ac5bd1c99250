/** `/api/sql/tokens`: superusers make, list and delete tokens for the libSQL endpoint. */
import { limits } from "../../../shared/limits.ts";
import type { FieldError } from "../../model/contract.ts";
import { characterCount } from "../../model/fields/cast.ts";
import { parseDateText } from "../../model/fields/date-text.ts";
import { notFound } from "../../pb/api-error.ts";
import { BLANK, failForm, formBody, formText, lengthError } from "../../pb/form-body.ts";
import type { FeatureRoute, PbContext } from "../../pb/route.ts";
import { createToken, deleteToken, listTokens } from "./tokens.ts";

const NOT_ALLOWED: FieldError = { code: "validation_in_invalid", message: "Must be a valid value." };

export const tokenRoutes: readonly FeatureRoute[] = [
  { method: "GET", path: "/api/sql/tokens", handle: list },
  { method: "POST", path: "/api/sql/tokens", handle: create },
  { method: "DELETE", path: "/api/sql/tokens/:id", handle: remove },
];

function list(context: PbContext): Response {
  context.requireSuperuser();
  return context.json(200, listTokens(context.tenant, context.seen));
}

async function create(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const body = await formBody(context);
  const name = formText(context, body, "name");
  const access = formText(context, body, "access");
  const expiresText = formText(context, body, "expires");
  const expires = parseDateText(expiresText);
  failForm({
    name: name === "" ? BLANK : lengthError(name, 1, limits.sqlTokenNameCharactersMax, characterCount(name)),
    access: access === "read" || access === "write" ? undefined : access === "" ? BLANK : NOT_ALLOWED,
    expires:
      expiresText !== "" && expires === ""
        ? { code: "validation_invalid_date", message: "Must be a valid date." }
        : undefined,
  });
  const given = { name, access: access === "write" ? "write" : "read", expires } as const;
  return context.json(200, await createToken(context.tenant, context.seen, given));
}

async function remove(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  if (!(await deleteToken(context.tenant, context.seen, context.params["id"] ?? ""))) throw notFound();
  return context.noContent();
}
