import { toText } from "../../model/fields/cast.ts";
import { parseBool } from "../../pb/records/list.ts";
import type { SettingsObject, SettingsValue } from "../../pb/settings.ts";

type Input = Readonly<Record<string, unknown>>;

/**
 * The values of a form as the JSON that they stand for: `meta.appName` names a setting, whose type its text has to have. Groups
 * come as objects, from `@jsonPayload`, or not at all.
 */
export function formSettings(known: SettingsObject, values: Input, prefix = ""): Input {
  const input: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(known)) {
    const value = values[prefix + key];
    if (!isObject(setting)) {
      if (value !== undefined) input[key] = ofType(setting, value);
      continue;
    }
    const group = isObject(value) ? value : formSettings(setting, values, `${prefix}${key}.`);
    if (Object.keys(group).length > 0) input[key] = group;
  }
  return input;
}

function ofType(setting: SettingsValue, value: unknown): unknown {
  if (Array.isArray(setting)) return (Array.isArray(value) ? value : [value]).map(toText);
  const first: unknown = Array.isArray(value) ? value[0] : value;
  if (typeof setting === "string") return toText(first);
  if (typeof setting === "boolean") return parseBool(toText(first));
  return first === "" ? 0 : first;
}

function isObject(value: unknown): value is SettingsObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
