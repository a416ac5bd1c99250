import type { RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { unknownPassword } from "../../model/records/passwords.ts";
import type { Provider, ProviderUser } from "../../oauth2/contract.ts";
import type { PbContext } from "../../pb/route.ts";
import { asSignInFailure, link } from "./link.ts";

/**
 * Signs in a record that is there: what the provider has verified is taken over, and a password that was set before the address
 * was proven is no longer good, because somebody else may have set it.
 */
export async function updateLinked(
  context: PbContext,
  record: RecordData,
  provider: Provider,
  user: ProviderUser,
): Promise<RecordData> {
  const { tenant, seen, auth } = context;
  const model = modelOf(tenant);
  const { collection } = record;
  const { email, verified } = record.values;
  const isOwn = auth?.record.id === record.id && auth.collection.id === collection.id;
  const values: Record<string, unknown> = {};
  if (email === "" && user.email !== "") values["email"] = user.email;
  if (verified !== true && (email === "" || email === user.email)) values["verified"] = true;
  const password =
    !isOwn && email !== "" && verified !== true ? { password: await unknownPassword(collection) } : undefined;
  const isChanged = password !== undefined || Object.keys(values).length > 0;
  try {
    return await tenant.data.write(seen, (tx) => {
      let current = record;
      if (isChanged) {
        const pending = model.bind(collection, record, values, new Map(), { allowHidden: true });
        Object.assign(pending.values, password);
        current = model.save(tx, pending);
      }
      link(tenant, tx, current, provider.name, user.id);
      return current;
    });
  } catch (error) {
    throw asSignInFailure(error);
  }
}
