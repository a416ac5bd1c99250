/** OAuth2 sign-in: what a provider is as data, and what it tells of a user. */

/** A provider as a collection has set it up, over the table's own values. */
export interface Provider {
  spec: ProviderSpec;
  name: string;
  displayName: string;
  clientId: string;
  clientSecret: string;
  authURL: string;
  tokenURL: string;
  userInfoURL: string;
  pkce: boolean;
  extra: Readonly<Record<string, unknown>>;
}

export interface ProviderSpec {
  displayName: string;
  authURL: string;
  tokenURL: string;
  /** Empty: the user is read from the token answer's id_token. */
  userInfoURL: string;
  scopes: readonly string[];
  /** Default true. */
  pkce?: boolean;
  /** Scopes that some of the collection's own settings need besides. */
  extraScopes?: (extra: Readonly<Record<string, unknown>>) => readonly string[];
  /** More parameters of the authorisation URL. */
  authParams?: Readonly<Record<string, string>>;
  /** How the user is asked for, where a plain GET with the token is not enough. */
  userRequest?: (provider: Provider) => UserRequest;
  /** Keys of the `id_token` of providers that have one instead of a user endpoint. */
  jwksURL?: string;
  issuers?: readonly string[];
  user: UserMapping;
  /** Corrects what the mapping cannot say; `more` asks the provider for something else in the user's name. */
  finish?: (user: ProviderUser, found: FinishFacts) => void | Promise<void>;
}

export interface UserRequest {
  method?: "GET" | "POST";
  headers?: Readonly<Record<string, string>>;
  body?: string;
}

/** Paths into the provider's answer, with dots. Several: their values joined by a space. */
export interface UserMapping {
  id: string;
  name?: string | readonly string[];
  username?: string;
  avatarURL?: string;
  email?: string;
  /** The email counts only when this path is true. */
  emailVerified?: string;
  /** What should be text and is not makes the answer unusable, as its standard has it. */
  isTyped?: true;
  /** The user is refused unless this path has this value. */
  mustBe?: readonly [path: string, value: string];
}

export interface FinishFacts {
  provider: Provider;
  raw: Readonly<Record<string, unknown>>;
  token: TokenAnswer;
  /** The checked claims of the id_token that came with the token. */
  idToken: () => Promise<Readonly<Record<string, unknown>>>;
  /** Undefined when the provider refuses: the application was not given that right. */
  more: (url: string) => Promise<unknown>;
}

export interface TokenAnswer {
  accessToken: string;
  refreshToken: string;
  tokenType: string;
  /** PocketBase's date text; empty when the token does not say. */
  expiry: string;
  raw: Readonly<Record<string, unknown>>;
}

/** Empty texts for what is not known. */
export interface ProviderUser {
  id: string;
  name: string;
  username: string;
  /** Only one that the provider has verified, as far as it tells. */
  email: string;
  avatarURL: string;
  rawUser: Readonly<Record<string, unknown>>;
  token: TokenAnswer;
}

/** The provider, or what stands for it, did not do its part. */
export class OAuth2Failure extends Error {
  override readonly name = "OAuth2Failure";
}
