/** What of a provider's user goes into which field of a new record, as far as it fits there. */
import type { Collection, Field } from "../../../shared/schema/collection.ts";
import { limits } from "../../../shared/limits.ts";
import { createLog } from "../../log.ts";
import type { AuthOptions } from "../../model/collections/auth-options.ts";
import { singleUniqueIndex } from "../../model/collections/index-expression.ts";
import { quoteName } from "../../model/collections/sql-text.ts";
import { type UploadedFile, ValidationFailure } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import type { ProviderUser } from "../../oauth2/contract.ts";
import type { Network } from "../../outbound/network.ts";
import { sniffMime } from "../../pb/mime.ts";
import type { PbContext } from "../../pb/route.ts";

const log = createLog("oauth2");

/** Adds to `values` and `files`; what the client has submitted stays. */
export async function mapFields(
  network: Network,
  context: PbContext,
  collection: Collection,
  user: ProviderUser,
  values: Record<string, unknown>,
  files: Map<string, UploadedFile[]>,
): Promise<void> {
  const { mappedFields } = (collection.options as AuthOptions).oauth2;
  const wanted = (name: string): Field | undefined =>
    name === "" || Object.hasOwn(values, name)
      ? undefined
      : collection.fields.find((field) => field.name === name);
  const idField = wanted(mappedFields.id);
  if (idField !== undefined) values[idField.name] = user.id;
  const nameField = wanted(mappedFields.name);
  if (nameField !== undefined) values[nameField.name] = user.name;
  const usernameField = wanted(mappedFields.username);
  if (usernameField !== undefined && isFreeUsername(context, collection, usernameField, user.username)) {
    values[usernameField.name] = user.username;
  }
  const avatarField = wanted(mappedFields.avatarURL);
  if (avatarField === undefined || user.avatarURL === "") return;
  if (avatarField.type !== "file") {
    values[avatarField.name] = user.avatarURL;
    return;
  }
  const avatar = await downloadAvatar(network, context, user.avatarURL);
  if (avatar !== undefined && fits(context, collection, avatarField, {}, avatar)) {
    files.set(avatarField.name, [avatar]);
  }
}

function isFreeUsername(context: PbContext, collection: Collection, field: Field, username: string): boolean {
  if (username === "" || field.type !== "text") return false;
  const index = singleUniqueIndex(collection.indexes, field.name);
  if (index !== undefined) {
    const collate = index.columns[0]?.collate.toUpperCase() === "NOCASE" ? " COLLATE NOCASE" : "";
    const sql = `SELECT 1 FROM ${quoteName(collection.name)} WHERE ${quoteName(field.name)} = ?${collate} LIMIT 1`;
    if (context.tenant.data.read(context.seen, (db) => db.get(sql, [username])) !== undefined) return false;
  }
  return fits(context, collection, field, { [field.name]: username });
}

/** Whether the field would take the value, whatever the others say. */
function fits(
  { tenant }: PbContext,
  collection: Collection,
  field: Field,
  values: Readonly<Record<string, unknown>>,
  file?: UploadedFile,
): boolean {
  const model = modelOf(tenant);
  const files = new Map(file === undefined ? [] : [[field.name, [file]]]);
  try {
    model.validate(model.bind(collection, undefined, values, files, { allowHidden: true }));
  } catch (error) {
    if (!(error instanceof ValidationFailure)) throw error;
    return !Object.hasOwn(error.data, field.name);
  }
  return true;
}

/** Undefined when there is none to be had: nobody is kept out for want of a picture. */
async function downloadAvatar(
  network: Network,
  { tenant }: PbContext,
  url: string,
): Promise<UploadedFile | undefined> {
  try {
    const { status, body } = await network.request(url, {
      signal: AbortSignal.timeout(limits.oauth2RequestMs),
      bytesMax: limits.avatarBytesMax,
      redirectsMax: limits.oauth2RedirectsMax,
    });
    if (status < 200 || status > 299) throw new Error(`status ${status}`);
    const name = new URL(url).pathname.split("/").at(-1) ?? "";
    return {
      name: name === "" ? "avatar" : name,
      size: body.byteLength,
      mime: await sniffMime(body.subarray(0, limits.sniffBytesMax)),
      blob: new Blob([body]),
    };
  } catch (error) {
    log.warn({ err: error, tenant: tenant.id }, "could not fetch an avatar");
    return undefined;
  }
}
