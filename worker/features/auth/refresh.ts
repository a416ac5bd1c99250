import { newAuthToken } from "../../auth/tokens.ts";
import { forbidden } from "../../pb/api-error.ts";
import { findNamedCollection } from "../../pb/find-collection.ts";
import type { PbContext } from "../../pb/route.ts";
import type { SignIn } from "../../pb/sign-in.ts";

/** `POST …/auth-refresh`: a new token for a refreshable one, else the same token again. */
export async function refresh(signIn: SignIn, context: PbContext): Promise<Response> {
  const collection = findNamedCollection(context);
  const auth = context.requireAuth();
  if (collection.id !== auth.collection.id) {
    throw forbidden(`The request requires auth record from ${auth.collection.name} collection.`);
  }
  const { record, token, refreshable } = auth;
  return signIn.answer(context, { record, token: refreshable ? newAuthToken(record) : token });
}
