import { newAuthToken } from "../../auth/tokens.ts";
import { modelOf } from "../../model/model.ts";
import { forbidden } from "../../pb/api-error.ts";
import type { PbContext } from "../../pb/route.ts";
import { answerAuth } from "./auth-response.ts";

/** `POST …/auth-refresh`: a new token for a refreshable one, else the same token again. */
export function refresh(context: PbContext): Promise<Response> {
  const auth = context.requireAuth();
  const collection = modelOf(context.tenant).schema.find(context.params["collection"] ?? "");
  if (collection?.id !== auth.collection.id) {
    throw forbidden(`The request requires auth record from ${auth.collection.name} collection.`);
  }
  const { record, token, refreshable } = auth;
  return answerAuth(context, { record, token: refreshable ? newAuthToken(record) : token });
}
