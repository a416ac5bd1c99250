/** A tenant's settings, kept as PocketBase keeps them: one JSON row of `_params`. */
import { newTenantSettings } from "../model/default-settings.ts";
import { modelOf } from "../model/model.ts";
import type { SqlReader } from "../sqlite/contract.ts";
import type { Observation, Tenant, WriteTransaction } from "../tenant/contract.ts";

export type SettingsObject = { [key: string]: SettingsValue };
export type SettingsValue = string | number | boolean | null | SettingsValue[] | SettingsObject;

/** What a new tenant has, with the places of the secrets; a copy of its own for each caller. */
function defaultSettings(): SettingsObject {
  const settings = structuredClone(newTenantSettings);
  const { backups, s3 } = settings;
  return {
    ...settings,
    backups: { ...backups, s3: { ...backups.s3, secret: "" } },
    s3: { ...s3, secret: "" },
  };
}

/** Tenant slot: the settings as last read; forgotten when they are saved or the databases are replaced. */
const cache = {
  create(tenant: Tenant): {
    settings: SettingsObject | undefined;
    version: number;
    listeners: (() => void)[];
  } {
    const cached = { settings: undefined, version: 0, listeners: [] };
    tenant.onReplaced(() => forgetSettings(tenant));
    // A renamed collection takes its rate limits along.
    modelOf(tenant).listenCollections((tx) => tx.afterCommit(() => forgetSettings(tenant)));
    return cached;
  },
};

/** The committed settings; read from the database at most once per change. */
export function settingsOf(tenant: Tenant, seen: Observation): SettingsObject {
  const cached = tenant.slot(cache);
  cached.settings ??= tenant.data.read(seen, loadSettings);
  return cached.settings;
}

/** Counts the changes, for what is kept per settings: rate limits start anew. */
export function settingsVersion(tenant: Tenant): number {
  return tenant.slot(cache).version;
}

/** Call it after anything but `saveSettings` may have changed them. */
export function forgetSettings(tenant: Tenant): void {
  const cached = tenant.slot(cache);
  cached.settings = undefined;
  cached.version += 1;
  for (const listener of cached.listeners) listener();
}

/** Called, in the turn of the commit, when the settings may be others than before. */
export function onSettings(tenant: Tenant, listener: () => void): void {
  tenant.slot(cache).listeners.push(listener);
}

/** What is stored over the defaults. An encrypted or broken row counts as none. */
export function loadSettings(db: SqlReader): SettingsObject {
  const row = db.get<{ value: string | Uint8Array | null }>(
    `SELECT value FROM _params WHERE id = 'settings'`,
  );
  const stored = parse(row?.value ?? null);
  return stored === undefined ? defaultSettings() : mergeSettings(defaultSettings(), stored);
}

export function saveSettings(
  tenant: Tenant,
  tx: WriteTransaction,
  settings: SettingsObject,
  nowText: string,
): void {
  tx.run(
    `INSERT INTO _params (id, value, created, updated) VALUES ('settings', ?1, ?2, ?2)
     ON CONFLICT (id) DO UPDATE SET value = excluded.value, updated = excluded.updated`,
    [new TextEncoder().encode(JSON.stringify(settings)), nowText],
  );
  tx.afterCommit(() => forgetSettings(tenant));
}

/** As Go unmarshals onto a value: known objects merge key by key, everything else of a known key is replaced. */
export function mergeSettings(
  base: SettingsObject,
  input: Readonly<Record<string, unknown>>,
): SettingsObject {
  const merged: SettingsObject = { ...base };
  for (const key of Object.keys(base)) {
    const known = base[key];
    const given = input[key];
    if (given === undefined || given === null) continue;
    if (isObject(known)) {
      if (isObject(given)) merged[key] = mergeSettings(known, given);
    } else {
      merged[key] = given as SettingsValue;
    }
  }
  return merged;
}

/** A group of the settings, e.g. `batch`. */
export function settingsGroup(settings: SettingsObject, name: string): SettingsObject {
  const group = settings[name];
  return isObject(group) ? group : {};
}

function parse(value: string | Uint8Array | null): Record<string, unknown> | undefined {
  if (value === null) return undefined;
  try {
    const parsed: unknown = JSON.parse(typeof value === "string" ? value : new TextDecoder().decode(value));
    return isObject(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is SettingsObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
