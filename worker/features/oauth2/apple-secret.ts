import { type AppleKey, appleClientSecret } from "../../oauth2/apple-secret.ts";
import { badRequest } from "../../pb/api-error.ts";
import { BLANK, failForm, formBody, formText } from "../../pb/form-body.ts";
import type { PbContext } from "../../pb/route.ts";

/** Apple's own bound: six months. */
const SECONDS_MAX = 15_777_000;
const APPLE_ID = /^\w{10}$/;
const MALFORMED = { code: "validation_match_invalid", message: "Must be in a valid format." };

/** `POST /api/settings/apple/generate-client-secret`: `{clientId, teamId, keyId, privateKey, duration}` in seconds. */
export async function generateAppleSecret(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const body = await formBody(context);
  const text = (name: string): string => formText(context, body, name);
  const duration = Number(body.values["duration"] ?? 0);
  const key: AppleKey = {
    clientId: text("clientId"),
    teamId: text("teamId"),
    keyId: text("keyId"),
    privateKey: text("privateKey"),
    durationSeconds: duration,
  };
  const idError = (id: string) => (id === "" ? BLANK : APPLE_ID.test(id) ? undefined : MALFORMED);
  failForm({
    clientId: key.clientId === "" ? BLANK : undefined,
    teamId: idError(key.teamId),
    keyId: idError(key.keyId),
    privateKey:
      key.privateKey === ""
        ? BLANK
        : /-----BEGIN PRIVATE KEY-----[\s\S]+-----END PRIVATE KEY-----/.test(key.privateKey)
          ? undefined
          : MALFORMED,
    duration:
      duration === 0
        ? BLANK
        : Number.isSafeInteger(duration) && duration > 0 && duration <= SECONDS_MAX
          ? undefined
          : {
              code: "validation_max_less_equal_than_required",
              message: `Must be no greater than ${SECONDS_MAX}.`,
              params: { threshold: SECONDS_MAX },
            },
  });
  try {
    return context.json(200, { secret: await appleClientSecret(key, Date.now()) });
  } catch (cause) {
    throw badRequest("Failed to generate client secret.", undefined, cause);
  }
}
