/** `POST …/auth-with-oauth2`: `{provider, code, codeVerifier, redirectURL, createData?}`. */
import { limits } from "../../../shared/limits.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import { oauth2 } from "../../auth/options.ts";
import { SUPERUSERS, newAuthToken } from "../../auth/tokens.ts";
import type { ProviderUser } from "../../oauth2/contract.ts";
import { OAuth2Failure, type Provider } from "../../oauth2/contract.ts";
import { type Code, exchangeCode } from "../../oauth2/exchange.ts";
import { asObject } from "../../oauth2/paths.ts";
import { configuredProviders, providerOf } from "../../oauth2/provider.ts";
import { fetchUser } from "../../oauth2/user.ts";
import { ApiError, badRequest, forbidden } from "../../pb/api-error.ts";
import { sortedKeys } from "../../pb/go-json.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import { BLANK, LOAD_FAILED, formBody, formText, formValue, lengthError } from "../../pb/form-body.ts";
import type { PbContext } from "../../pb/route.ts";
import { takeAppleName } from "./apple-name.ts";
import { findLinked } from "./find-linked.ts";
import type { OAuth2Services } from "./services.ts";
import { signUp } from "./sign-up.ts";
import { updateLinked } from "./update-linked.ts";

export async function withOAuth2(services: OAuth2Services, context: PbContext): Promise<Response> {
  const collection = findAuthCollection(context);
  if (!oauth2(collection).enabled || collection.name === SUPERUSERS) {
    throw forbidden("The collection is not configured to allow OAuth2 authentication.");
  }
  const { providerName, code, createData } = await readForm(context, collection);
  const provider = initProvider(collection, providerName);
  const user = await userOf(services, context, provider, code);
  if (user.id === "") throw badRequest("Failed to authenticate.", { providerId: BLANK });
  const found = findLinked(context, collection, provider.name, user);
  const record =
    found === undefined
      ? await signUp(services, context, { collection, provider, user, createData })
      : await updateLinked(context, found, provider, user);
  return services.signIn.answer(context, {
    record,
    token: newAuthToken(record),
    method: "oauth2",
    requestContext: "oauth2",
    meta: metaOf(user, found === undefined),
  });
}

async function readForm(context: PbContext, collection: Collection) {
  const body = await formBody(context);
  const providerName = formText(context, body, "provider");
  const code: Code = {
    code: formText(context, body, "code"),
    codeVerifier: formText(context, body, "codeVerifier"),
    redirectURL: formText(context, body, "redirectURL") || formText(context, body, "redirectUrl"),
  };
  const createData = formValue(context, body, "createData") ?? {};
  if (typeof createData !== "object" || Array.isArray(createData)) throw badRequest(LOAD_FAILED);
  const isKnown = configuredProviders(collection).some(({ name }) => name === providerName);
  const unknown = {
    code: "validation_invalid_provider",
    message: `Provider with name ${providerName} is missing or is not enabled.`,
    params: { name: providerName },
  };
  const errors = {
    ...(code.code === "" ? { code: BLANK } : {}),
    ...(providerName === ""
      ? { provider: BLANK }
      : isKnown
        ? {}
        : { provider: lengthError(providerName, 0, 100) ?? unknown }),
  };
  if (Object.keys(errors).length > 0) throw badRequest(LOAD_FAILED, errors);
  return { providerName, code, createData: asObject(createData) };
}

function initProvider(collection: Collection, name: string): Provider {
  const config = configuredProviders(collection).find((config) => config.name === name);
  try {
    if (config === undefined) throw new OAuth2Failure(`Cannot use provider ${name}: it is not set up`);
    return providerOf(config);
  } catch (cause) {
    throw new ApiError(500, `Failed to init provider ${name}.`, {}, { cause });
  }
}

async function userOf(
  { network, idTokens }: OAuth2Services,
  context: PbContext,
  provider: Provider,
  code: Code,
): Promise<ProviderUser> {
  const signal = AbortSignal.timeout(limits.oauth2SignInMs);
  const token = await exchangeCode(network, provider, code, signal).catch((cause: unknown) => {
    throw badRequest("Failed to fetch OAuth2 token.", undefined, cause);
  });
  const user = await fetchUser(network, idTokens, provider, token, signal).catch((cause: unknown) => {
    throw badRequest("Failed to fetch OAuth2 user.", undefined, cause);
  });
  if (user.name === "") user.name = takeAppleName(context.tenant, code.code, Date.now());
  return user;
}

/** PocketBase writes it as a map; `avatarUrl` is for older clients. */
function metaOf(user: ProviderUser, isNew: boolean): unknown {
  const { id, name, username, email, avatarURL, rawUser, token } = user;
  const { expiry, accessToken, refreshToken } = token;
  const meta = { id, name, username, email, avatarURL, avatarUrl: avatarURL, rawUser, isNew };
  return sortedKeys({ ...meta, expiry, accessToken, refreshToken });
}
