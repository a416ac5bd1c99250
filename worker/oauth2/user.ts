/** Who has signed in at the provider. */
import { limits } from "../../shared/limits.ts";
import type { Network, OutboundRequest } from "../outbound/network.ts";
import { OAuth2Failure, type Provider, type ProviderUser, type TokenAnswer } from "./contract.ts";
import type { IdTokens } from "./id-token.ts";
import { type JsonObject, asObject, at, isTrueAt, textAt } from "./paths.ts";

/** A user without an id is nobody's. @throws OAuth2Failure; UserError and SystemError of the network */
export async function fetchUser(
  network: Network,
  idTokens: IdTokens,
  provider: Provider,
  token: TokenAnswer,
  signal: AbortSignal,
): Promise<ProviderUser> {
  const more = async (url: string): Promise<unknown> => {
    try {
      return await askJson(network, url, token, {}, signal);
    } catch (error) {
      if (error instanceof OAuth2Failure) return undefined;
      throw error;
    }
  };
  const idToken = (): Promise<JsonObject> => idTokens.claimsOf(provider, token, signal);
  const raw =
    provider.userInfoURL === ""
      ? await idToken()
      : asObject(
          await askJson(
            network,
            provider.userInfoURL,
            token,
            provider.spec.userRequest?.(provider) ?? {},
            signal,
          ),
        );
  const user = mapUser(provider, raw, token);
  await provider.spec.finish?.(user, { provider, raw, token, more, idToken });
  return user;
}

/** What the table's paths say of the provider's answer. */
export function mapUser({ name, spec }: Provider, raw: JsonObject, token: TokenAnswer): ProviderUser {
  const { user } = spec;
  if (user.mustBe !== undefined && textAt(raw, user.mustBe[0]) !== user.mustBe[1]) {
    throw new OAuth2Failure(`Cannot accept the user of ${name}: it is not active`);
  }
  const text = (path: string | undefined): string => {
    if (path === undefined) return "";
    const found = at(raw, path) ?? "";
    if (user.isTyped === true && typeof found !== "string") {
      throw new OAuth2Failure(`Cannot read the user of ${name}: its ${path} is no text`);
    }
    return textAt(raw, path);
  };
  const names = user.name === undefined || typeof user.name === "string" ? [user.name] : user.name;
  const email = text(user.email);
  const isVerified = user.emailVerified === undefined || isTrueAt(raw, user.emailVerified);
  return {
    id: text(user.id),
    name: names.map(text).join(" ").trim(),
    username: text(user.username),
    email: isVerified ? email : "",
    avatarURL: text(user.avatarURL),
    rawUser: raw,
    token,
  };
}

async function askJson(
  network: Network,
  url: string,
  { accessToken }: TokenAnswer,
  request: Pick<OutboundRequest, "method" | "headers" | "body">,
  signal: AbortSignal,
): Promise<unknown> {
  const { status, body } = await network.request(url, {
    ...request,
    headers: {
      accept: "application/json",
      "user-agent": "manybase",
      ...request.headers,
      authorization: `Bearer ${accessToken}`,
    },
    signal,
    bytesMax: limits.oauth2AnswerBytesMax,
  });
  if (status < 200 || status > 299) {
    throw new OAuth2Failure(`Cannot fetch user: ${new URL(url).host} answered ${status}`);
  }
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch (cause) {
    throw new OAuth2Failure(`Cannot fetch user: ${new URL(url).host} sent no JSON`, { cause });
  }
}
