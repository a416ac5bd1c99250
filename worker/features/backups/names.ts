import { lengthError } from "../../pb/form-body.ts";
import type { FieldError } from "../../model/contract.ts";
import { limits } from "../../../shared/limits.ts";
import { settingsGroup, type SettingsObject } from "../../pb/settings.ts";

const CREATED = /^[a-z0-9_-]+\.zip$/;
/** Uploads keep the name that they come with, as far as it is one segment of an object's key. */
const STORED = /^(?!\.{1,2}$)[^/\\]{1,255}$/;
const isControl = (char: string): boolean => char < " " || char === "\u007f";

export const NAME_TAKEN: FieldError = {
  code: "validation_backup_name_exists",
  message: "The backup file name is invalid or already exists.",
};

/** What is wrong with the name that somebody gives a new backup. */
export function nameError(name: string): FieldError | undefined {
  const length = lengthError(name, 1, limits.backupNameCharactersMax);
  if (length !== undefined) return length;
  return CREATED.test(name)
    ? undefined
    : { code: "validation_match_invalid", message: "Must be in a valid format." };
}

export function isStoredName(name: string): boolean {
  return STORED.test(name) && !Array.from(name).some(isControl);
}

/** `<prefix><application>_<time>.zip`. */
export function generatedName(prefix: string, settings: SettingsObject, now: Date): string {
  const given = settingsGroup(settings, "meta")["appName"];
  const app = (typeof given === "string" ? given : "")
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/[^A-Za-z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "")
    .toLowerCase()
    .slice(0, 50);
  const time = now.toISOString().replace(/[-:T]/g, "").slice(0, 14);
  return `${prefix}${app}_${time}.zip`;
}
