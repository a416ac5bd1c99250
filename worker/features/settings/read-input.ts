import type { SettingsObject, SettingsValue } from "../../pb/settings.ts";

/** A value of another JSON type than the setting's: the whole body is refused. */
export class InvalidSettings extends Error {
  override readonly name = "InvalidSettings";
}

const RATE_LIMIT_RULE: SettingsObject = { label: "", audience: "", duration: 0, maxRequests: 0 };

/**
 * `base` with the input merged in, as Go decodes JSON into a struct: objects merge key by key, items of a list over
 * those in their place, null and unknown keys change nothing.
 * @throws InvalidSettings
 */
export function readSettingsInput(
  base: SettingsObject,
  input: Readonly<Record<string, unknown>>,
  path = "",
): SettingsObject {
  const merged = { ...base };
  const keys = new Map(Object.keys(base).map((key) => [key.toLowerCase(), key]));
  for (const [name, value] of Object.entries(input)) {
    const key = keys.get(name.toLowerCase());
    const known = key === undefined ? undefined : merged[key];
    if (key === undefined || known === undefined) continue;
    merged[key] = readValue(known, value, path === "" ? key : `${path}.${key}`);
  }
  return merged;
}

function readValue(known: SettingsValue, input: unknown, path: string): SettingsValue {
  if (Array.isArray(known)) return readList(known, input, path);
  if (input === null) return known;
  if (isObject(known)) {
    if (!isObject(input)) throw wrong(path);
    return readSettingsInput(known, input, path);
  }
  const isRight = typeof known === "number" ? isInt64(input) : typeof input === typeof known;
  if (!isRight) throw wrong(path);
  return input as SettingsValue;
}

function readList(known: readonly SettingsValue[], input: unknown, path: string): SettingsValue[] {
  if (input === null) return [];
  if (!Array.isArray(input)) throw wrong(path);
  return input.map((item: unknown, index): SettingsValue => {
    if (path !== "rateLimits.rules") {
      if (item !== null && typeof item !== "string") throw wrong(path);
      return item ?? "";
    }
    if (item !== null && !isObject(item)) throw wrong(path);
    const before = known[index];
    return readSettingsInput(
      isObject(before) ? { ...RATE_LIMIT_RULE, ...before } : RATE_LIMIT_RULE,
      item ?? {},
      path,
    );
  });
}

function isInt64(value: unknown): boolean {
  return Number.isInteger(value) && Math.abs(Number(value)) < 2 ** 63;
}

function wrong(path: string): InvalidSettings {
  return new InvalidSettings(`Cannot read setting ${path}: it is of another type`);
}

function isObject(value: unknown): value is SettingsObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
