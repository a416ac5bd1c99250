import type { ErrorData, FieldError } from "../contract.ts";
import { errorsOf, fieldError } from "../field-error.ts";
import { atLeast, atMost, cannotBeBlank, check, isUrl, length, required, type Rule } from "../rules.ts";
import {
  TOKEN_KINDS,
  type AuthOptions,
  type EmailTemplate,
  type OAuth2Provider,
  type TokenOptions,
} from "./auth-options.ts";
import { singleUniqueIndex } from "./index-expression.ts";
import { OAUTH2_PROVIDERS } from "./oauth2-providers.ts";
import { systemRule, usableRule, type CollectionContext } from "./validation-context.ts";

const TOKEN_SECONDS_MAX = 94_670_856;
const LOGIN_SECONDS_MAX = 86_400;

export function validateAuthOptions(context: CollectionContext, options: AuthOptions): ErrorData | undefined {
  const before = context.before?.options as AuthOptions | undefined;
  const notEmpty: Rule = (value) =>
    value === "" ? fieldError("validation_nil_or_not_empty_required", "Cannot be blank.") : undefined;
  const errors = errorsOf({
    authRule: check(options.authRule, usableRule(context), systemRule(context, before?.authRule)),
    manageRule: check(
      options.manageRule,
      notEmpty,
      usableRule(context),
      systemRule(context, before?.manageRule),
    ),
    authAlert: errorsOf({ emailTemplate: templateError(options.authAlert.emailTemplate) }),
    passwordAuth:
      options.passwordAuth.enabled && (options.passwordAuth.identityFields ?? []).length === 0
        ? { identityFields: cannotBeBlank }
        : undefined,
    oauth2: oauth2Error(options),
    otp: errorsOf({
      ...(options.otp.enabled
        ? { duration: seconds(options.otp.duration), length: check(options.otp.length, required, atLeast(4)) }
        : {}),
      emailTemplate: templateError(options.otp.emailTemplate),
    }),
    mfa: options.mfa.enabled ? errorsOf({ duration: seconds(options.mfa.duration) }) : undefined,
    ...Object.fromEntries(TOKEN_KINDS.map((kind) => [kind, tokenError(options[kind])])),
    verificationTemplate: templateError(options.verificationTemplate),
    resetPasswordTemplate: templateError(options.resetPasswordTemplate),
    confirmEmailChangeTemplate: templateError(options.confirmEmailChangeTemplate),
  });
  return errors ?? mfaError(context, options) ?? identityError(context, options);
}

function seconds(value: number): FieldError | ErrorData | undefined {
  return check(value, required, atLeast(10), atMost(LOGIN_SECONDS_MAX));
}

function templateError({ subject, body }: EmailTemplate): ErrorData | undefined {
  return errorsOf({ subject: check(subject, required), body: check(body, required) });
}

function tokenError({ secret, duration }: TokenOptions): ErrorData | undefined {
  return errorsOf({
    secret: check(secret, required, length(30, 255)),
    duration: check(duration, required, atLeast(10), atMost(TOKEN_SECONDS_MAX)),
  });
}

function oauth2Error({ oauth2 }: AuthOptions): ErrorData | undefined {
  if (!oauth2.enabled) return undefined;
  const seen = new Set<string>();
  const providers = oauth2.providers ?? [];
  for (const [index, { name }] of providers.entries()) {
    if (name !== "" && seen.has(name)) {
      const error = fieldError(
        "validation_duplicated_provider",
        "The provider {{.name}} is already registered.",
        {
          name,
        },
      );
      return { providers: { [index]: { name: error } } };
    }
    seen.add(name);
  }
  const errors = errorsOf(
    Object.fromEntries(providers.map((one, index) => [String(index), providerError(one)])),
  );
  return errors === undefined ? undefined : { providers: errors };
}

function providerError(provider: OAuth2Provider): ErrorData | undefined {
  const known: Rule = (value) =>
    OAUTH2_PROVIDERS.includes(String(value))
      ? undefined
      : fieldError("validation_missing_provider", "Invalid or missing provider with name {{.name}}.", {
          name: value,
        });
  return errorsOf({
    name: check(provider.name, required, known),
    clientId: check(provider.clientId, required),
    clientSecret: check(provider.clientSecret, required),
    authURL: check(provider.authURL, isUrl),
    tokenURL: check(provider.tokenURL, isUrl),
    userInfoURL: check(provider.userInfoURL, isUrl),
  });
}

function mfaError(context: CollectionContext, options: AuthOptions): ErrorData | undefined {
  if (!options.mfa.enabled) return undefined;
  const methods = [options.passwordAuth.enabled, options.oauth2.enabled, options.otp.enabled];
  if (methods.filter(Boolean).length < 2) {
    const enabled = fieldError(
      "validation_mfa_not_enough_auths",
      "MFA requires at least 2 auth methods to be enabled.",
    );
    return { mfa: { enabled } };
  }
  const before = context.before?.options as AuthOptions | undefined;
  const rule =
    options.mfa.rule === ""
      ? undefined
      : check(options.mfa.rule, usableRule(context), systemRule(context, before?.mfa.rule ?? ""));
  return rule === undefined ? undefined : { mfa: { rule } };
}

/** A password login looks a record up by these fields: each must be unique by itself. */
function identityError({ collection }: CollectionContext, options: AuthOptions): ErrorData | undefined {
  if (!options.passwordAuth.enabled) return undefined;
  for (const fieldName of options.passwordAuth.identityFields ?? []) {
    const exists = collection.fields.some((field) => field.name === fieldName);
    if (exists && singleUniqueIndex(collection.indexes, fieldName) !== undefined) continue;
    const error = exists
      ? fieldError(
          "validation_missing_unique_constraint",
          "The field {{.fieldName}} doesn't have a UNIQUE constraint.",
          { fieldName },
        )
      : fieldError("validation_missing_field", "Invalid or missing field {{.fieldName}}.", { fieldName });
    return { passwordAuth: { identityFields: error } };
  }
  return undefined;
}
