/** What PocketBase refuses in settings, by group and field. */
import type { FieldError } from "../../model/contract.ts";
import { looksLikeEmail, looksLikeUrl } from "../../model/rules.ts";
import { isAddressOrRange } from "../../pb/address-range.ts";
import { BLANK, INVALID_EMAIL, lengthError } from "../../pb/form-body.ts";
import { type SettingsObject, settingsGroup } from "../../pb/settings.ts";

import { cronError } from "./cron-error.ts";

type Errors = Record<string, unknown>;
type Check = (value: unknown) => FieldError | undefined;

const COLOUR_CHARACTERS = 7;
const URL_ERROR: FieldError = { code: "validation_is_url", message: "Must be a valid URL." };
const HOST_ERROR: FieldError = {
  code: "validation_is_host",
  message: "Must be a valid IP address or DNS name.",
};

/** Empty when the settings may be saved. */
export function validateSettings(settings: SettingsObject): Errors {
  const group = (name: string): SettingsObject => settingsGroup(settings, name);
  const smtpOn = group("smtp")["enabled"] === true;
  const batchOn = group("batch")["enabled"] === true;
  const backups = group("backups");
  return present({
    superuserIPs: addresses(settings["superuserIPs"]),
    meta: fields(group("meta"), {
      accentColor: [colour],
      appName: [required, length(1, 255)],
      appURL: [required, url],
      senderName: [required, length(1, 255)],
      senderAddress: [required, email],
    }),
    logs: fields(group("logs"), { maxDays: [min(0)] }),
    smtp: fields(group("smtp"), {
      host: [smtpOn && required, host],
      port: [smtpOn && required, min(0)],
      authMethod: [oneOf("LOGIN", "PLAIN")],
      localName: [host],
    }),
    s3: s3(group("s3")),
    backups: present({
      s3: s3(settingsGroup(backups, "s3")),
      ...fields(backups, {
        cron: [cron],
        cronMaxKeep: [backups["cron"] !== "" && required, min(1)],
      }),
    }),
    batch: fields(group("batch"), {
      maxRequests: [batchOn && required, min(0)],
      timeout: [batchOn && required, min(0)],
      maxBodySize: [min(0)],
    }),
    rateLimits: rateLimits(group("rateLimits")),
  });
}

function s3(group: SettingsObject): Errors {
  const isOn = group["enabled"] === true;
  return fields(group, {
    endpoint: [url, isOn && required],
    bucket: [isOn && required],
    region: [isOn && required],
    accessKey: [isOn && required],
    secret: [isOn && required],
  });
}

function rateLimits(group: SettingsObject): Errors {
  const rules = Array.isArray(group["rules"]) ? group["rules"] : [];
  if (group["enabled"] === true && rules.length === 0) return { rules: BLANK };
  const errors: Errors = {};
  const taken = new Set<string>();
  for (const [index, rule] of rules.entries()) {
    const { label: name, audience } = rule as { label: string; audience: string };
    const found = fields(rule as SettingsObject, {
      label: [required, label, !isFree(taken, name, audience) && conflicting],
      maxRequests: [required, min(1)],
      duration: [required, min(1)],
      audience: [oneOf("@guest", "@auth")],
    });
    if (Object.keys(found).length > 0) errors[index] = found;
    taken.add(`${name} ${audience}`);
  }
  return present({ rules: errors, excludedIPs: addresses(group["excludedIPs"]) });
}

/** A rule for everybody leaves no room for one of a part of them with the same label. */
function isFree(taken: ReadonlySet<string>, label: string, audience: string): boolean {
  const others = audience === "" ? ["", "@guest", "@auth"] : ["", audience];
  return others.every((other) => !taken.has(`${label} ${other}`));
}

const conflicting: Check = (name) => ({
  code: "validation_conflicting_rate_limit_rule",
  message: `Rate limit rule configuration with label ${String(name)} already exists or conflicts with another rule.`,
  params: { label: String(name) },
});

function fields(group: SettingsObject, checks: Readonly<Record<string, readonly (Check | false)[]>>): Errors {
  const errors: Errors = {};
  for (const [name, list] of Object.entries(checks)) {
    for (const check of list) {
      const error = check === false ? undefined : check(group[name]);
      if (error === undefined) continue;
      errors[name] = error;
      break;
    }
  }
  return errors;
}

function present(errors: Errors): Errors {
  return Object.fromEntries(
    Object.entries(errors).filter(([, value]) => Object.keys(value as object).length > 0),
  );
}

const isBlank = (value: unknown): boolean =>
  value === undefined || value === null || value === "" || value === 0;
const required: Check = (value) => (isBlank(value) ? BLANK : undefined);
const length =
  (least: number, most: number): Check =>
  (value) =>
    isBlank(value) ? undefined : lengthError(String(value), least, most);
const email: Check = (value) => (isBlank(value) || looksLikeEmail(String(value)) ? undefined : INVALID_EMAIL);
const url: Check = (value) => (isBlank(value) || looksLikeUrl(String(value)) ? undefined : URL_ERROR);
const host: Check = (value) =>
  isBlank(value) ||
  /^(?:[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?\.)*[a-zA-Z0-9_-]{1,63}\.?$|^[0-9a-fA-F:]+$/.test(
    String(value),
  )
    ? undefined
    : HOST_ERROR;
const min =
  (least: number): Check =>
  (value) =>
    isBlank(value) || Number(value) >= least
      ? undefined
      : {
          code: "validation_min_greater_equal_than_required",
          message: `Must be no less than ${least}.`,
          params: { threshold: least },
        };
const oneOf =
  (...allowed: string[]): Check =>
  (value) =>
    isBlank(value) || allowed.includes(String(value))
      ? undefined
      : { code: "validation_in_invalid", message: "Must be a valid value." };
const label: Check = (value) =>
  /^(\w+ )?\/[\w/-]*$|^\w+$|^\w+:\w+$|^\*:\w+$/.test(String(value))
    ? undefined
    : { code: "validation_match_invalid", message: "Must be in a valid format." };

const cron: Check = (value) => {
  const message = isBlank(value) ? undefined : cronError(String(value));
  return message === undefined ? undefined : { code: "validation_invalid_cron", message };
};
const colour: Check = (value) => {
  if (isBlank(value)) return undefined;
  if (String(value).length !== COLOUR_CHARACTERS) {
    const params = { max: COLOUR_CHARACTERS, min: COLOUR_CHARACTERS };
    return {
      code: "validation_length_invalid",
      message: `The length must be exactly ${params.max}.`,
      params,
    };
  }
  return /^#[0-9a-fA-F]{6}$/.test(String(value))
    ? undefined
    : { code: "validation_is_hex_color", message: "Must be a valid hexadecimal color code." };
};

/** Addresses and ranges of addresses, by their place in the list. The code is spelled as clients know it. */
function addresses(value: unknown): Errors {
  const errors: Errors = {};
  for (const [index, address] of (Array.isArray(value) ? value : []).entries()) {
    if (address === "") errors[index] = BLANK;
    else if (typeof address !== "string" || !isAddressOrRange(address)) {
      errors[index] = { code: "validation_invlaid_ip_or_subnet", message: "Invalid IP or CIDR subnet." };
    }
  }
  return errors;
}
