/** `POST …/auth-with-password`: `{identity, password, identityField?}`. */
import type { Collection } from "../../../shared/schema/collection.ts";
import { passwordAuth } from "../../auth/options.ts";
import { newAuthToken } from "../../auth/tokens.ts";
import { singleUniqueIndex } from "../../model/collections/index-expression.ts";
import { quoteName } from "../../model/collections/sql-text.ts";
import type { RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { looksLikeEmail } from "../../model/rules.ts";
import { toText } from "../../model/fields/cast.ts";
import { verifyPassword } from "../../model/records/passwords.ts";
import { Reason, badRequest, forbidden } from "../../pb/api-error.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import { BLANK, failForm, formBody, formText, lengthError } from "../../pb/form-body.ts";
import type { PbContext } from "../../pb/route.ts";
import type { SignIn } from "../../pb/sign-in.ts";
import type { SqlReader } from "../../sqlite/contract.ts";

/** Of a random text that was thrown away. */
const UNKNOWN_HASH = Bun.password.hashSync(crypto.randomUUID(), { algorithm: "bcrypt", cost: 10 });

export async function withPassword(signIn: SignIn, context: PbContext): Promise<Response> {
  const collection = findAuthCollection(context);
  const { enabled, identityFields } = passwordAuth(collection);
  if (!enabled) throw forbidden("The collection is not configured to allow password authentication.");
  const body = await formBody(context);
  const identity = formText(context, body, "identity");
  const password = formText(context, body, "password");
  const identityField = formText(context, body, "identityField");
  failForm({
    identity: identity === "" ? BLANK : lengthError(identity, 1, 255),
    password: password === "" ? BLANK : lengthError(password, 1, 255),
    identityField:
      identityField === "" || identityFields.includes(identityField)
        ? undefined
        : { code: "validation_in_invalid", message: "Must be a valid value." },
  });
  const fields = identityField === "" ? fieldOrder(identity, identityFields) : [identityField];
  const record = findByIdentity(context, collection, fields, identity);
  // Without a record the same work is done, so that the time tells nobody which identities exist.
  const hash = record === undefined ? UNKNOWN_HASH : toText(record.values["password"]);
  if (!(await verifyPassword(password, hash, collection)) || record === undefined) {
    throw badRequest("Failed to authenticate.", undefined, new Reason("invalid login credentials"));
  }
  return signIn.answer(context, {
    record,
    token: newAuthToken(record),
    method: "password",
    requestContext: "password",
  });
}

/** An identity that looks like an email is tried as one first, and never as one otherwise. */
function fieldOrder(identity: string, fields: readonly string[]): string[] {
  const others = fields.filter((name) => name !== "email");
  return looksLikeEmail(identity) && fields.includes("email") ? ["email", ...others] : others;
}

function findByIdentity(
  context: PbContext,
  collection: Collection,
  fields: readonly string[],
  identity: string,
): RecordData | undefined {
  const model = modelOf(context.tenant);
  return context.tenant.data.read(context.seen, (db) => {
    for (const field of fields) {
      const row = findRow(db, collection, field, identity);
      if (row !== undefined) return model.fromRow(collection, row);
    }
    return undefined;
  });
}

/** Only through a unique index of its own: an identity must never name two records. */
function findRow(db: SqlReader, collection: Collection, field: string, identity: string) {
  const index = singleUniqueIndex(collection.indexes, field);
  if (index === undefined) return undefined;
  const collate = index.columns[0]?.collate.toUpperCase() === "NOCASE" ? " COLLATE NOCASE" : "";
  return db.get(
    `SELECT * FROM ${quoteName(collection.name)} WHERE ${quoteName(field)} = ?${collate} LIMIT 1`,
    [identity],
  );
}
