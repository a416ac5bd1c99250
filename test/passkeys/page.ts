/** Runs in the browser: the official SDK, and what a page does to use passkeys beside it. */
import PocketBase, { type RecordAuthResponse } from "pocketbase";

export interface PageApi {
  PocketBase: typeof PocketBase;
  /** `extra`: `mfaId`, `name`. */
  register: (client: PocketBase, collection: string, extra?: object) => Promise<Record<string, unknown>>;
  /** What the authenticator answers, not sent yet. */
  assertion: (client: PocketBase, collection: string, extra?: object) => Promise<Assertion>;
  send: (client: PocketBase, collection: string, assertion: Assertion) => Promise<RecordAuthResponse>;
  /** An error of the SDK as plain data. */
  refusal: (attempt: Promise<unknown>) => Promise<{ status: number; response: Record<string, unknown> }>;
}
export interface Assertion {
  challengeId: string;
  response: unknown;
  mfaId?: string;
}

declare global {
  interface Window {
    page: PageApi;
  }
}

const path = (collection: string, rest: string): string => `/api/collections/${collection}/${rest}`;
const post = <Answer>(client: PocketBase, path: string, body: object): Promise<Answer> =>
  client.send<Answer>(path, { method: "POST", body });

window.page = {
  PocketBase,
  async register(client, collection, extra = {}) {
    const { options, challengeId } = await post<{
      options: PublicKeyCredentialCreationOptionsJSON;
      challengeId: string;
    }>(client, path(collection, "passkeys/register-options"), extra);
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
    const credential = (await navigator.credentials.create({ publicKey })) as PublicKeyCredential;
    return post(client, path(collection, "passkeys"), {
      challengeId,
      response: credential.toJSON(),
      ...extra,
    });
  },
  async assertion(client, collection, extra = {}) {
    const { options, challengeId } = await post<{
      options: PublicKeyCredentialRequestOptionsJSON;
      challengeId: string;
    }>(client, path(collection, "auth-with-passkey-options"), extra);
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
    const credential = (await navigator.credentials.get({ publicKey })) as PublicKeyCredential;
    return { challengeId, response: credential.toJSON(), ...extra };
  },
  async send(client, collection, assertion) {
    const answer = await post<RecordAuthResponse>(client, path(collection, "auth-with-passkey"), assertion);
    client.authStore.save(answer.token, answer.record);
    return answer;
  },
  refusal: (attempt) =>
    attempt.then(
      () => ({ status: 200, response: {} }),
      (error: { status: number; response: Record<string, unknown> }) => ({
        status: error.status,
        response: error.response,
      }),
    ),
};
