import type { Collection } from "../../../shared/schema/collection.ts";
import type { TokenKind } from "../../auth/options.ts";
import { type TokenOwner, findTokenOwner } from "../../auth/tokens.ts";
import type { FieldError } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import type { PbContext } from "../../pb/route.ts";

export function ownerOf(context: PbContext, token: string, kind: TokenKind): TokenOwner | undefined {
  const model = modelOf(context.tenant);
  return context.tenant.data.read(context.seen, (db) =>
    findTokenOwner(token, [kind], model.schema, (collection, id) => model.find(db, collection, id)),
  );
}

/** What is wrong with a token that should be of a record of this collection. */
export function ownerError(owner: TokenOwner | undefined, collection: Collection): FieldError | undefined {
  if (owner === undefined) return { code: "validation_invalid_token", message: "Invalid or expired token." };
  if (owner.collection.id === collection.id) return undefined;
  return {
    code: "validation_token_collection_mismatch",
    message: "The provided token is for different auth collection.",
  };
}
