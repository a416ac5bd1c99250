/** From a code to a token (RFC 6749 §4.1.3). */
import { limits } from "../../shared/limits.ts";
import type { Network, OutboundResponse } from "../outbound/network.ts";
import { OAuth2Failure, type Provider, type TokenAnswer } from "./contract.ts";
import { type JsonObject, asObject, textAt } from "./paths.ts";

export interface Code {
  code: string;
  codeVerifier: string;
  redirectURL: string;
}

/** @throws OAuth2Failure; UserError and SystemError of the network */
export async function exchangeCode(
  network: Network,
  provider: Provider,
  { code, codeVerifier, redirectURL }: Code,
  signal: AbortSignal,
): Promise<TokenAnswer> {
  const form = new URLSearchParams({ grant_type: "authorization_code", code });
  if (redirectURL !== "") form.set("redirect_uri", redirectURL);
  if (provider.pkce && codeVerifier !== "") form.set("code_verifier", codeVerifier);
  const { clientId, clientSecret } = provider;
  const login = `${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`;
  const basic = { authorization: `Basic ${Buffer.from(login).toString("base64")}` };
  // Servers know one way to authenticate a client or the other, and few say which: a refused login does not use the code up.
  const first = await send(network, provider.tokenURL, form, basic, signal);
  const token = readToken(first);
  if (token !== undefined) return token;
  form.set("client_id", clientId);
  form.set("client_secret", clientSecret);
  const second = await send(network, provider.tokenURL, form, {}, signal);
  const found = readToken(second);
  if (found !== undefined) return found;
  throw new OAuth2Failure(`Cannot fetch token: ${reasonOf(first)}; ${reasonOf(second)}`);
}

function send(
  network: Network,
  url: string,
  form: URLSearchParams,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<OutboundResponse> {
  return network.request(url, {
    method: "POST",
    headers: {
      ...headers,
      accept: "application/json",
      "content-type": "application/x-www-form-urlencoded",
    },
    body: form.toString(),
    signal,
    bytesMax: limits.oauth2AnswerBytesMax,
  });
}

/** Some providers answer 200 also for errors, and some with a form instead of JSON. */
function readToken(answer: OutboundResponse): TokenAnswer | undefined {
  const raw = bodyOf(answer);
  const accessToken = textAt(raw, "access_token");
  if (answer.status < 200 || answer.status > 299 || accessToken === "") return undefined;
  const expiresIn = Number(textAt(raw, "expires_in"));
  return {
    accessToken,
    refreshToken: textAt(raw, "refresh_token"),
    tokenType: textAt(raw, "token_type"),
    expiry:
      expiresIn > 0 && Number.isFinite(expiresIn)
        ? new Date(Date.now() + expiresIn * 1000).toISOString().replace("T", " ")
        : "",
    raw,
  };
}

function bodyOf({ body, contentType }: OutboundResponse): JsonObject {
  const text = new TextDecoder().decode(body);
  if (/^(?:application\/x-www-form-urlencoded|text\/plain)/.test(contentType) && !text.startsWith("{")) {
    return Object.fromEntries(new URLSearchParams(text));
  }
  try {
    return asObject(JSON.parse(text));
  } catch {
    return {};
  }
}

function reasonOf(answer: OutboundResponse): string {
  const raw = bodyOf(answer);
  return [String(answer.status), textAt(raw, "error"), textAt(raw, "error_description")]
    .filter((part) => part !== "")
    .join(" ");
}
