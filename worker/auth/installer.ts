/** The account of a tenant that has no superuser yet, as PocketBase's first start makes it. */
import { UserError } from "../../shared/errors.ts";
import { randomText } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { modelOf } from "../model/model.ts";
import { INSTALLER_EMAIL } from "../model/records/auth-changes.ts";
import type { SqlReader } from "../sqlite/contract.ts";
import type { Observation, Tenant } from "../tenant/contract.ts";
import { upsertSuperuser } from "./superuser.ts";
import { SUPERUSERS, newStaticAuthToken } from "./tokens.ts";

const PASSWORD_CHARACTERS = 40;
const PASSWORD_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

export interface Installer {
  token: string;
  expiresMs: number;
}

/**
 * A token by which the first superuser can be made; that one takes the account away again, and so the token. An older token ends.
 * @throws UserError `conflict` when the tenant has a superuser
 */
export async function openInstaller(tenant: Tenant, seen: Observation): Promise<Installer> {
  tenant.data.read(seen, refuseWithSuperuser);
  const password = randomText(PASSWORD_CHARACTERS, PASSWORD_ALPHABET);
  const { id } = await upsertSuperuser(tenant, seen, INSTALLER_EMAIL, password, refuseWithSuperuser);
  const model = modelOf(tenant);
  const collection = model.schema.find(SUPERUSERS);
  const record = collection && tenant.data.read(seen, (db) => model.find(db, collection, id));
  if (record === undefined) {
    throw new UserError("conflict", "Cannot make an installer link: the tenant has just got a superuser");
  }
  const nowMs = Date.now();
  const token = newStaticAuthToken(record, limits.installerTokenSeconds, nowMs);
  return { token, expiresMs: nowMs + limits.installerTokenSeconds * 1000 };
}

function refuseWithSuperuser(db: SqlReader): void {
  const sql = `SELECT 1 FROM "${SUPERUSERS}" WHERE email != ? LIMIT 1`;
  if (db.get(sql, [INSTALLER_EMAIL]) === undefined) return;
  throw new UserError("conflict", "Cannot make an installer link: the tenant has a superuser", {
    hint: "Set the password of one: manybase tenants superuser <slug> <email> <password>.",
  });
}
