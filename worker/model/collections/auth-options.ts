/** Options of auth collections: their shape in PocketBase's key order, defaults, and which of them are secrets. */
import { randomText } from "../../../shared/ids.ts";
import { ALPHANUMERIC } from "../fields/random-pattern.ts";
import {
  bool,
  boolOrNull,
  integer,
  list,
  map,
  merge,
  object,
  text,
  textOrNull,
  textsOrNull,
  type Shape,
} from "../shape.ts";
import { authTemplates } from "./auth-templates.ts";

const template = object({ subject: text, body: text });
const token = object({ secret: text, duration: integer });
const provider = object({
  pkce: boolOrNull,
  name: text,
  clientId: text,
  clientSecret: text,
  authURL: text,
  tokenURL: text,
  userInfoURL: text,
  displayName: text,
  extra: map,
});

export const TOKEN_KINDS = [
  "authToken",
  "passwordResetToken",
  "emailChangeToken",
  "verificationToken",
  "fileToken",
] as const;
export type TokenKind = (typeof TOKEN_KINDS)[number];

export const authShape: Shape = object({
  authRule: textOrNull,
  manageRule: textOrNull,
  authAlert: object({ enabled: bool, emailTemplate: template }),
  oauth2: object({
    providers: list(provider, "name"),
    mappedFields: object({ id: text, name: text, username: text, avatarURL: text }),
    enabled: bool,
  }),
  passwordAuth: object({ enabled: bool, identityFields: textsOrNull }),
  mfa: object({ enabled: bool, duration: integer, rule: text }),
  otp: object({ enabled: bool, duration: integer, length: integer, emailTemplate: template }),
  authToken: token,
  passwordResetToken: token,
  emailChangeToken: token,
  verificationToken: token,
  fileToken: token,
  verificationTemplate: template,
  resetPasswordTemplate: template,
  confirmEmailChangeTemplate: template,
});

export const newTokenSecret = (): string => randomText(50, ALPHANUMERIC);

/** Options as interfaces for the code that reads them; the stored objects hold exactly these. */
export interface AuthOptions extends Record<string, unknown> {
  authRule: string | null;
  manageRule: string | null;
  authAlert: { enabled: boolean; emailTemplate: EmailTemplate };
  oauth2: {
    enabled: boolean;
    providers: OAuth2Provider[] | null;
    mappedFields: Record<"id" | "name" | "username" | "avatarURL", string>;
  };
  passwordAuth: { enabled: boolean; identityFields: string[] | null };
  mfa: { enabled: boolean; duration: number; rule: string };
  otp: { enabled: boolean; duration: number; length: number; emailTemplate: EmailTemplate };
  authToken: TokenOptions;
  passwordResetToken: TokenOptions;
  emailChangeToken: TokenOptions;
  verificationToken: TokenOptions;
  fileToken: TokenOptions;
  verificationTemplate: EmailTemplate;
  resetPasswordTemplate: EmailTemplate;
  confirmEmailChangeTemplate: EmailTemplate;
}
export interface EmailTemplate {
  subject: string;
  body: string;
}
/** Seconds. */
export interface TokenOptions {
  secret: string;
  duration: number;
}
export interface OAuth2Provider {
  pkce: boolean | null;
  name: string;
  clientId: string;
  clientSecret: string;
  authURL: string;
  tokenURL: string;
  userInfoURL: string;
  displayName: string;
  extra: Record<string, unknown> | null;
}

/** What a new auth collection starts with; secrets are fresh. */
export function defaultAuthOptions(): AuthOptions {
  const tokens = (duration: number): TokenOptions => ({ secret: newTokenSecret(), duration });
  return readAuthOptions({
    authRule: "",
    authAlert: { enabled: true, emailTemplate: authTemplates.authAlert },
    passwordAuth: { enabled: true, identityFields: ["email"] },
    mfa: { enabled: false, duration: 600, rule: "" },
    otp: { enabled: false, duration: 180, length: 8, emailTemplate: authTemplates.otp },
    authToken: tokens(432_000),
    passwordResetToken: tokens(1_800),
    emailChangeToken: tokens(1_800),
    verificationToken: tokens(86_400),
    fileToken: tokens(180),
    verificationTemplate: authTemplates.verification,
    resetPasswordTemplate: authTemplates.resetPassword,
    confirmEmailChangeTemplate: authTemplates.confirmEmailChange,
  });
}

/** Stored or submitted options, complete and in order. @throws InvalidInput */
export function readAuthOptions(input: unknown, current?: unknown): AuthOptions {
  return merge(authShape, current, input ?? {}, "") as AuthOptions;
}

/** The options as the API shows them: no secret in them, providers always a list. */
export function publicAuthOptions(stored: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const options = stored as AuthOptions;
  const shown: Record<string, unknown> = { ...options };
  for (const kind of TOKEN_KINDS) shown[kind] = { duration: options[kind].duration };
  const providers = (options.oauth2.providers ?? []).map((one) =>
    Object.fromEntries(Object.entries(one).filter(([key]) => key !== "clientSecret")),
  );
  shown["oauth2"] = { ...options.oauth2, providers };
  return shown;
}
