/** What rules see as `@request.body.*` of a create or update: what was submitted, as it would be stored. */
import type { Collection } from "../../../shared/schema/collection.ts";
import type { PendingRecord } from "../../model/contract.ts";
import type { BoundBody } from "../route.ts";

/** Values of fields are canonical, modifiers resolved; keys that are no field stay as they came. */
export function submittedBody(
  collection: Collection,
  body: BoundBody,
  pending: PendingRecord,
  isSuperuser: boolean,
): Record<string, unknown> {
  const fields = new Map(collection.fields.map((field) => [field.name, field]));
  const result: Record<string, unknown> = {};
  for (const key of [...Object.keys(body.values), ...body.files.keys()]) {
    const name = fieldOfKey(key, (candidate) => fields.has(candidate));
    const field = fields.get(name);
    if (field === undefined) {
      result[key] = body.values[key];
    } else if (field.type === "password") {
      if (isSuperuser || !field.hidden || (collection.type === "auth" && name === "password")) {
        result[name] = pending.passwords.get(name) ?? "";
      }
    } else if (isSuperuser || !field.hidden) {
      result[name] = name === "id" ? pending.id : pending.values[name];
    }
  }
  return result;
}

/** `field+`, `+field`, `field-` and `field:autogenerate` speak of `field`; any other key of itself. */
function fieldOfKey(key: string, isField: (name: string) => boolean): string {
  if (isField(key)) return key;
  const candidates = [key.replace(/[+-]$/, ""), key.replace(/^\+/, ""), key.replace(/:autogenerate$/, "")];
  return candidates.find((name) => name !== key && isField(name)) ?? key;
}
