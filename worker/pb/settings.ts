/** A tenant's settings, kept as PocketBase keeps them: one JSON row of `_params`. */
import type { SqlReader } from "../sqlite/contract.ts";
import type { WriteTransaction } from "../tenant/contract.ts";

export type SettingsObject = { [key: string]: SettingsValue };
export type SettingsValue = string | number | boolean | null | SettingsValue[] | SettingsObject;

const S3 = (): SettingsObject => ({
  enabled: false,
  bucket: "",
  region: "",
  endpoint: "",
  accessKey: "",
  secret: "",
  forcePathStyle: false,
});

/** In PocketBase's order and with its defaults; a function so that nobody changes them for others. */
export function defaultSettings(): SettingsObject {
  return {
    superuserIPs: [],
    smtp: {
      enabled: false,
      port: 587,
      host: "smtp.example.com",
      username: "",
      password: "",
      authMethod: "",
      tls: false,
      localName: "",
    },
    backups: { cron: "", cronMaxKeep: 3, s3: S3() },
    s3: S3(),
    meta: {
      accentColor: "",
      appName: "Acme",
      appURL: "http://localhost:8090",
      senderName: "Support",
      senderAddress: "support@example.com",
      hideControls: false,
    },
    rateLimits: {
      rules: [
        { label: "*:auth", audience: "", duration: 3, maxRequests: 2 },
        { label: "*:create", audience: "", duration: 5, maxRequests: 20 },
        { label: "/api/batch", audience: "", duration: 1, maxRequests: 3 },
        { label: "/api/", audience: "", duration: 10, maxRequests: 300 },
      ],
      excludedIPs: [],
      enabled: false,
    },
    trustedProxy: { headers: [], useLeftmostIP: false },
    batch: { enabled: false, maxRequests: 50, timeout: 3, maxBodySize: 0 },
    logs: { maxDays: 5, minLevel: 0, logIP: true, logAuthId: false },
  };
}

/** What is stored over the defaults. An encrypted or broken row counts as none. */
export function loadSettings(db: SqlReader): SettingsObject {
  const row = db.get<{ value: string | Uint8Array | null }>(
    `SELECT value FROM _params WHERE id = 'settings'`,
  );
  const stored = parse(row?.value ?? null);
  return stored === undefined ? defaultSettings() : mergeSettings(defaultSettings(), stored);
}

export function saveSettings(tx: WriteTransaction, settings: SettingsObject, nowText: string): void {
  tx.run(
    `INSERT INTO _params (id, value, created, updated) VALUES ('settings', ?1, ?2, ?2)
     ON CONFLICT (id) DO UPDATE SET value = excluded.value, updated = excluded.updated`,
    [new TextEncoder().encode(JSON.stringify(settings)), nowText],
  );
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
