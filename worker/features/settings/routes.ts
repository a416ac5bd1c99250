/** `/api/settings`: read and change a tenant's settings; secrets go in and never come out. */
import { ApiError, badRequest } from "../../pb/api-error.ts";
import { LOAD_FAILED, plainFormBody } from "../../pb/form-body.ts";
import type { FeatureRoute, PbContext } from "../../pb/route.ts";
import { type SettingsObject, loadSettings, saveSettings, settingsOf } from "../../pb/settings.ts";
import { formSettings } from "./form-input.ts";
import { InvalidSettings, readSettingsInput } from "./read-input.ts";
import { testS3 } from "./test-s3.ts";
import { validateSettings } from "./validate.ts";

export const settingsRoutes: readonly FeatureRoute[] = [
  { method: "GET", path: "/api/settings", handle: read },
  { method: "PATCH", path: "/api/settings", handle: update },
  { method: "POST", path: "/api/settings/test/s3", handle: testS3 },
];

const SAVE_FAILED = "An error occurred while saving the new settings.";

function read(context: PbContext): Response {
  context.requireSuperuser();
  return context.json(200, withoutSecrets(settingsOf(context.tenant, context.seen)));
}

async function update(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const { values } = await plainFormBody(context);
  const isForm = !context.request.headers.get("content-type")?.startsWith("application/json");
  const saved = await context.tenant.data.write(context.seen, (tx) => {
    const stored = loadSettings(tx);
    const settings = merged(stored, () => (isForm ? formSettings(stored, values) : values));
    const errors = validateSettings(settings);
    if (Object.keys(errors).length > 0) throw badRequest(SAVE_FAILED, errors);
    saveSettings(context.tenant, tx, settings, new Date().toISOString().replace("T", " "));
    return settings;
  });
  return context.json(200, withoutSecrets(saved));
}

function merged(stored: SettingsObject, input: () => Readonly<Record<string, unknown>>): SettingsObject {
  try {
    return readSettingsInput(stored, input());
  } catch (error) {
    const isInput = error instanceof InvalidSettings || error instanceof ApiError;
    throw isInput ? badRequest(LOAD_FAILED, undefined, error) : error;
  }
}

/** `secret` and `password` are left out wherever they stand. */
function withoutSecrets(settings: SettingsObject): SettingsObject {
  const shown: SettingsObject = {};
  for (const [key, value] of Object.entries(settings)) {
    if (key === "secret" || key === "password") continue;
    const isGroup = typeof value === "object" && value !== null && !Array.isArray(value);
    shown[key] = isGroup ? withoutSecrets(value) : value;
  }
  return shown;
}
