import type { RecordData } from "../contract.ts";
import { exactly } from "../fields/json-text.ts";
import { planOf } from "./plan.ts";

export interface Visibility {
  /** Show hidden fields: superusers. The password and token key of auth records never show. */
  hidden: boolean;
  /** Show the email whatever `emailVisibility` says: superusers, the record itself, who may manage it. */
  email: boolean;
}

export const PUBLIC: Visibility = { hidden: false, email: false };
export const EVERYTHING: Visibility = { hidden: true, email: true };

/** The record as the API shows it, keys in alphabetical order; `expand` only when something was expanded. */
export function recordToJson(
  record: RecordData,
  visibility: Visibility = PUBLIC,
  expand?: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const { collection, values } = record;
  const hidesEmail = collection.type === "auth" && !visibility.email && values["emailVisibility"] !== true;
  const json: Record<string, unknown> = {};
  for (const { key, planned } of planOf(collection).json) {
    if (planned === undefined) {
      if (key === "collectionId") json[key] = collection.id;
      else if (key === "collectionName") json[key] = collection.name;
      else if (expand !== undefined) json[key] = expand;
      continue;
    }
    if (planned.field.hidden && !visibility.hidden) continue;
    if (hidesEmail && key === "email") continue;
    const value = values[key];
    // JavaScript's JSON drops the sign of this zero.
    json[key] = planned.type.type === "password" ? "" : Object.is(value, -0) ? exactly(-0, "-0") : value;
  }
  return json;
}
