/** A real OpenID Connect server on loopback, and a browser's way through its pages, for tests. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Provider } from "oidc-provider";

export interface TestOidc {
  issuer: string;
  /** Claims by the name that signs in. */
  accounts: Map<string, Record<string, unknown>>;
  /** Signs in at an authorisation URL and agrees; the URL that the browser is sent back to. */
  browse: (authURL: string, login: string) => Promise<URL>;
  close: () => Promise<void>;
}

export const OIDC_CLIENT = { clientId: "manybase", clientSecret: "oidc-client-secret" };
const HOPS_MAX = 20;

export async function startTestOidc(redirectURLs: string[]): Promise<TestOidc> {
  const accounts: TestOidc["accounts"] = new Map();
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: OIDC_CLIENT.clientId,
        client_secret: OIDC_CLIENT.clientSecret,
        redirect_uris: redirectURLs,
        token_endpoint_auth_method: "client_secret_post",
      },
    ],
    claims: {
      openid: ["sub"],
      email: ["email", "email_verified"],
      profile: ["name", "picture", "preferred_username"],
    },
    // The id_token holds them too, as most providers' do.
    conformIdTokenClaims: false,
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...accounts.get(id) }) }),
    cookies: { keys: ["test"] },
    pkce: { required: () => true },
  });
  const handle = provider.callback();
  return {
    issuer,
    accounts,
    browse: (authURL, login) => browse(issuer, authURL, login),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

async function browse(issuer: string, authURL: string, login: string): Promise<URL> {
  const jar = new Map<string, string>();
  let url = authURL;
  let body: URLSearchParams | undefined;
  for (let hops = 0; hops < HOPS_MAX; hops++) {
    const answer = await fetch(url, {
      redirect: "manual",
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join("; ") },
      ...(body === undefined ? {} : { method: "POST", body }),
    });
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      jar.set(name, value);
    }
    body = undefined;
    const location = answer.headers.get("location");
    if (location !== null) {
      const next = new URL(location, url);
      if (next.origin !== issuer) return next;
      url = next.href;
      continue;
    }
    const page = await answer.text();
    const action = /<form[^>]+action="([^"]+)"/.exec(page)?.[1];
    const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1];
    if (action === undefined || prompt === undefined)
      throw new Error(`no form at ${url}: ${page.slice(0, 500)}`);
    url = new URL(action, url).href;
    body = new URLSearchParams({ prompt, login, password: "any" });
  }
  throw new Error("the provider sends in circles");
}
