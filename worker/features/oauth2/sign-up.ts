/** A new record for a provider's user, under the collection's create rule. */
import type { Collection } from "../../../shared/schema/collection.ts";
import type { RecordData, UploadedFile } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { unknownPassword } from "../../model/records/passwords.ts";
import type { Provider, ProviderUser } from "../../oauth2/contract.ts";
import type { JsonObject } from "../../oauth2/paths.ts";
import { type AuthForm, readAuthForm } from "../../pb/records/auth-form.ts";
import { recordScope } from "../../pb/records/scope.ts";
import { type PreparedWrite, discard, prepareCreate, save, settle } from "../../pb/records/write.ts";
import type { PbContext } from "../../pb/route.ts";
import { asSignInFailure, link } from "./link.ts";
import { mapFields } from "./mapped-fields.ts";
import type { OAuth2Services } from "./services.ts";

export interface SignUp {
  collection: Collection;
  provider: Provider;
  user: ProviderUser;
  /** What the client wants of the new record; it wins over what the provider says. */
  createData: JsonObject;
}

export async function signUp(
  { network }: OAuth2Services,
  context: PbContext,
  { collection, provider, user, createData }: SignUp,
): Promise<RecordData> {
  const { tenant, seen } = context;
  const model = modelOf(tenant);
  const values: Record<string, unknown> = { ...createData };
  const { email } = values;
  if (typeof email !== "string" || email === "") values["email"] = user.email;
  const files = new Map<string, UploadedFile[]>();
  await mapFields(network, context, collection, user, values, files);
  const info = { ...context.info, context: "oauth2" as const, body: values };
  const prepared = tenant.data.read(seen, (db) =>
    prepareCreate(recordScope(db, model, info), collection, { values, files }),
  );
  const write = await withPassword(prepared, values);
  await settle(tenant, model, write, (check) => tenant.data.read(seen, check));
  try {
    return await tenant.data.write(seen, (tx) => {
      let record = save(recordScope(tx, model, info), tx, write, true);
      if (record.values["verified"] !== true && record.values["email"] === user.email) {
        const proven = model.bind(collection, record, { verified: true }, new Map(), { allowHidden: true });
        record = model.save(tx, proven);
      }
      link(tenant, tx, record, provider.name, user.id);
      return record;
    });
  } catch (error) {
    await discard(tenant, write);
    throw asSignInFailure(error);
  }
}

/** Whoever comes by a provider needs no password, but every record has one. */
async function withPassword(
  write: PreparedWrite,
  values: Readonly<Record<string, unknown>>,
): Promise<PreparedWrite> {
  if (values["password"] !== undefined) return write;
  write.pending.values["password"] = await unknownPassword(write.pending.collection);
  const given = { password: "-", passwordConfirm: "-" };
  const form: AuthForm = readAuthForm({ ...values, ...given }, write.form?.canManage ?? false);
  return { ...write, form };
}
