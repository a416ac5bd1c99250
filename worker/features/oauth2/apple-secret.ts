import { type AppleKey, appleClientSecret } from "../../oauth2/apple-secret.ts";
import { badRequest } from "../../pb/api-error.ts";
import { BLANK, formBody, formInteger, formText } from "../../pb/form-body.ts";
import type { PbContext } from "../../pb/route.ts";

/** Apple's own bound: six months. */
const SECONDS_MAX = 15_777_000;
const SECONDS_MIN = 1;
const ID_CHARACTERS = 10;
const INVALID_ID = {
  code: "validation_length_invalid",
  message: `The length must be exactly ${ID_CHARACTERS}.`,
  params: { max: ID_CHARACTERS, min: ID_CHARACTERS },
};
const MALFORMED = { code: "validation_match_invalid", message: "Must be in a valid format." };

/** `POST /api/settings/apple/generate-client-secret`: `{clientId, teamId, keyId, privateKey, duration}` in seconds. */
export async function generateAppleSecret(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const body = await formBody(context);
  const text = (name: string): string => formText(context, body, name);
  const duration = formInteger(context, body, "duration");
  const key: AppleKey = {
    clientId: text("clientId"),
    teamId: text("teamId"),
    keyId: text("keyId"),
    privateKey: text("privateKey"),
    durationSeconds: duration,
  };
  const idError = (id: string) =>
    id === "" ? BLANK : Array.from(id).length === ID_CHARACTERS ? undefined : INVALID_ID;
  const errors = Object.entries({
    clientId: key.clientId === "" ? BLANK : undefined,
    teamId: idError(key.teamId),
    keyId: idError(key.keyId),
    privateKey:
      key.privateKey === ""
        ? BLANK
        : /-----BEGIN PRIVATE KEY-----[\s\S]+-----END PRIVATE KEY-----/.test(key.privateKey)
          ? undefined
          : MALFORMED,
    duration: durationError(duration),
  }).filter(([, error]) => error !== undefined);
  if (errors.length > 0) throw badRequest("Invalid client secret data.", Object.fromEntries(errors));
  try {
    return context.json(200, { secret: await appleClientSecret(key, Date.now()) });
  } catch (cause) {
    const reason = "Raw error: \ninvalid key: Key must be a PEM encoded PKCS1 or PKCS8 key.";
    throw badRequest(`Failed to generate client secret. ${reason}`, undefined, cause);
  }
}

function durationError(seconds: number) {
  if (seconds === 0) return BLANK;
  if (seconds < SECONDS_MIN) {
    return {
      code: "validation_min_greater_equal_than_required",
      message: `Must be no less than ${SECONDS_MIN}.`,
      params: { threshold: SECONDS_MIN },
    };
  }
  if (seconds <= SECONDS_MAX) return undefined;
  return {
    code: "validation_max_less_equal_than_required",
    message: `Must be no greater than ${SECONDS_MAX}.`,
    params: { threshold: SECONDS_MAX },
  };
}
