import { UserError } from "../../shared/errors.ts";
import { type RecordData, ValidationFailure } from "../model/contract.ts";
import { modelOf } from "../model/model.ts";
import type { Observation, Tenant, WriteTransaction } from "../tenant/contract.ts";
import { SUPERUSERS } from "./tokens.ts";

export interface UpsertedSuperuser {
  id: string;
  email: string;
  /** False when a superuser of that email had been there: it has the new password now. */
  created: boolean;
}

/**
 * Makes sure that the tenant has a superuser with this email and password.
 * @param also - in the same transaction
 * @throws UserError `invalid_body` naming the fields that PocketBase's rules refuse
 */
export async function upsertSuperuser(
  tenant: Tenant,
  seen: Observation,
  email: string,
  password: string,
  also: (tx: WriteTransaction, record: RecordData) => void = () => undefined,
): Promise<UpsertedSuperuser> {
  const model = modelOf(tenant);
  const collection = model.schema.find(SUPERUSERS);
  if (collection === undefined) {
    throw new UserError("invalid_import", "Cannot set superuser: the tenant has no collection of superusers");
  }
  const before = tenant.data.read(seen, (db) => {
    const row = db.get(`SELECT * FROM "${SUPERUSERS}" WHERE email = ? COLLATE NOCASE LIMIT 1`, [email]);
    return row === undefined ? undefined : model.fromRow(collection, row);
  });
  const pending = model.bind(collection, before, { email, password, verified: true }, new Map(), {
    allowHidden: true,
  });
  try {
    model.validate(pending);
    await model.hashPasswords(pending);
    const record = await tenant.data.write(seen, (tx) => {
      const saved = model.save(tx, pending);
      also(tx, saved);
      return saved;
    });
    return { id: record.id, email: String(record.values["email"]), created: before === undefined };
  } catch (error) {
    if (!(error instanceof ValidationFailure)) throw error;
    throw new UserError(
      "invalid_body",
      `Cannot set superuser: ${Object.keys(error.data).join(", ")} refused`,
      {
        cause: error,
        hint: "The password needs at least 8 characters, the email must be a valid address.",
        details: { data: error.data },
      },
    );
  }
}
