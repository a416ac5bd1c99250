/** The mails that speak to an auth record, each from a template of its collection. */
import { newEmailChangeToken, newPasswordResetToken, newVerificationToken } from "../auth/tokens.ts";
import type { AuthOptions, EmailTemplate } from "../model/collections/auth-options.ts";
import { newTenantSettings } from "../model/default-settings.ts";
import type { RecordData } from "../model/contract.ts";
import { type SettingsObject, settingsGroup } from "../pb/settings.ts";
import type { MailAddress, MailContent } from "./contract.ts";
import { escapeHtml, fillTemplate } from "./template.ts";

export type RecordMail =
  | { kind: "verification" | "password-reset" }
  | { kind: "email-change"; newEmail: string }
  | { kind: "otp"; otpId: string; password: string }
  | { kind: "login-alert"; info: string };

/** `origin` is the tenant's own base URL: what links lead to as long as the settings have no address of the application. */
export function composeRecordMail(
  record: RecordData,
  mail: RecordMail,
  settings: SettingsObject,
  origin: string,
): { to: MailAddress; content: MailContent } {
  const meta = settingsGroup(settings, "meta");
  const values = new Map<string, string>();
  for (const field of record.collection.fields) {
    if (!field.hidden) values.set(`RECORD:${field.name}`, escapeHtml(shown(record.values[field.name])));
  }
  values.set("APP_NAME", shown(meta["appName"]));
  values.set("APP_URL", appUrl(shown(meta["appURL"]), origin));
  for (const [name, value] of Object.entries(specific(record, mail))) values.set(name, value);
  const address = mail.kind === "email-change" ? mail.newEmail : shown(record.values["email"]);
  return { to: { name: "", address }, content: fillTemplate(templateOf(record, mail.kind), values) };
}

function specific(record: RecordData, mail: RecordMail): Record<string, string> {
  switch (mail.kind) {
    case "verification":
      return { TOKEN: newVerificationToken(record) };
    case "password-reset":
      return { TOKEN: newPasswordResetToken(record) };
    case "email-change":
      return { TOKEN: newEmailChangeToken(record, mail.newEmail) };
    case "otp":
      return { OTP: mail.password, OTP_ID: mail.otpId };
    case "login-alert":
      return { ALERT_INFO: escapeHtml(mail.info) };
  }
}

function templateOf({ collection }: RecordData, kind: RecordMail["kind"]): EmailTemplate {
  const options = collection.options as AuthOptions;
  switch (kind) {
    case "verification":
      return options.verificationTemplate;
    case "password-reset":
      return options.resetPasswordTemplate;
    case "email-change":
      return options.confirmEmailChangeTemplate;
    case "otp":
      return options.otp.emailTemplate;
    case "login-alert":
      return options.authAlert.emailTemplate;
  }
}

function appUrl(configured: string, origin: string): string {
  const isSet = configured !== "" && configured !== newTenantSettings.meta.appURL;
  return (isSet ? configured : origin).replace(/\/+$/, "");
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : `${value as string | number | boolean}`;
}
