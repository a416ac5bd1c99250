/** `GET, PATCH …/auth-policy`, for superusers; beside the collection, so that its JSON stays PocketBase's. */
import { limits } from "../../../shared/limits.ts";
import {
  type AuthPolicy,
  type PasskeyPolicy,
  USER_VERIFICATIONS,
  type UserVerification,
  policyOf,
  savePolicy,
} from "../../auth/policy.ts";
import type { FieldError } from "../../model/contract.ts";
import { characterCount } from "../../model/fields/cast.ts";
import { badRequest } from "../../pb/api-error.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import { LOAD_FAILED, formBody, lengthError, validationFailed } from "../../pb/form-body.ts";
import type { PbContext } from "../../pb/route.ts";

type Submitted = Readonly<Record<string, unknown>>;
type Errors = Record<string, FieldError | undefined>;

/** Labels of letters, digits and hyphens; the name of one machine (`localhost`) is one label. */
const DOMAIN =
  /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;
/** What Android sends instead of an origin: the hash of the app's certificate. */
const ANDROID_APP = /^android:apk-key-hash:[\w-]{43}$/;

export function showPolicy(context: PbContext): Response {
  context.requireSuperuser();
  const collection = findAuthCollection(context);
  return context.json(
    200,
    context.tenant.data.read(context.seen, (db) => policyOf(db, collection)),
  );
}

/** `PATCH …/auth-policy`: what is left out stays. */
export async function changePolicy(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const collection = findAuthCollection(context);
  const { values } = await formBody(context);
  const policy = await context.tenant.data.write(context.seen, (tx) => {
    const before = policyOf(tx, collection);
    const after: AuthPolicy = {
      required: flag(values, "required", before.required),
      totp: totpOf(group(values, "totp"), before.totp),
      passkey: passkeyOf(group(values, "passkey"), before.passkey),
    };
    check(after);
    savePolicy(tx, collection, after);
    return after;
  });
  return context.json(200, policy);
}

function totpOf(values: Submitted, before: AuthPolicy["totp"]): AuthPolicy["totp"] {
  return { enabled: flag(values, "enabled", before.enabled), issuer: text(values, "issuer", before.issuer) };
}

function passkeyOf(values: Submitted, before: PasskeyPolicy): PasskeyPolicy {
  const origins = values["origins"] ?? before.origins;
  if (!Array.isArray(origins) || !origins.every((one) => typeof one === "string")) {
    throw badRequest(LOAD_FAILED);
  }
  return {
    enabled: flag(values, "enabled", before.enabled),
    secondFactor: flag(values, "secondFactor", before.secondFactor),
    multiFactor: flag(values, "multiFactor", before.multiFactor),
    rpId: text(values, "rpId", before.rpId).toLowerCase(),
    origins,
    userVerification: text(values, "userVerification", before.userVerification) as UserVerification,
  };
}

/** @throws ApiError 400 naming each field, groups as PocketBase nests them */
function check({ required, totp, passkey }: AuthPolicy): void {
  const errors = {
    required:
      required && !totp.enabled && !passkey.enabled
        ? { code: "validation_no_second_factor", message: "Enable totp or passkey first." }
        : undefined,
    totp: only({
      issuer: lengthError(totp.issuer, 0, limits.totpIssuerCharactersMax, characterCount(totp.issuer)),
    }),
    passkey: only({
      rpId:
        passkey.rpId === "" || DOMAIN.test(passkey.rpId)
          ? undefined
          : { code: "validation_invalid_domain", message: "Must be a domain name." },
      origins: originsError(passkey.origins),
      userVerification: USER_VERIFICATIONS.includes(passkey.userVerification)
        ? undefined
        : { code: "validation_in_invalid", message: "Must be a valid value." },
    }),
  };
  const found = Object.entries(errors).filter(([, error]) => error !== undefined);
  if (found.length > 0) throw validationFailed(Object.fromEntries(found));
}

function originsError(origins: readonly string[]): FieldError | undefined {
  const max = limits.passkeyOriginsMax;
  if (origins.length > max) {
    return {
      code: "validation_length_too_long",
      message: `The length must be no more than ${max}.`,
      params: { max },
    };
  }
  return origins.every(isOrigin)
    ? undefined
    : { code: "validation_invalid_origin", message: "Must be origins like https://app.example.com." };
}

function isOrigin(text: string): boolean {
  if (ANDROID_APP.test(text)) return true;
  return /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}

function only(errors: Errors): Errors | undefined {
  const found = Object.entries(errors).filter(([, error]) => error !== undefined);
  return found.length === 0 ? undefined : Object.fromEntries(found);
}

function group(values: Submitted, name: string): Submitted {
  const value = values[name] ?? {};
  if (typeof value !== "object" || Array.isArray(value)) throw badRequest(LOAD_FAILED);
  return value as Submitted;
}

function flag(values: Submitted, name: string, before: boolean): boolean {
  const value = values[name] ?? before;
  if (typeof value !== "boolean") throw badRequest(LOAD_FAILED);
  return value;
}

function text(values: Submitted, name: string, before: string): string {
  const value = values[name] ?? before;
  if (typeof value !== "string") throw badRequest(LOAD_FAILED);
  return value;
}
