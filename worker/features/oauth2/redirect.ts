/**
 * `/api/oauth2-redirect`, where a provider sends the browser back to: what it brings goes to the realtime client that waits for
 * it under the topic `@oauth2`, whose id is the `state`.
 */
import { formBody, formText, formValue } from "../../pb/form-body.ts";
import { marshalGo } from "../../pb/go-json.ts";
import type { PbContext } from "../../pb/route.ts";
import { keepAppleName } from "./apple-name.ts";
import type { OAuth2Services } from "./services.ts";

const TOPIC = "@oauth2";
const SUCCESS = "../_/#/auth/oauth2-redirect-success";
const FAILURE = "../_/#/auth/oauth2-redirect-failure";

export async function redirect(services: OAuth2Services, context: PbContext): Promise<Response> {
  const isDelivered = await deliver(services, context);
  return new Response(null, {
    status: context.request.method === "GET" ? 307 : 303,
    headers: { location: isDelivered ? SUCCESS : FAILURE },
  });
}

/** Whether a client got a code. It gets the provider's error too, so that it need not wait in vain. */
async function deliver(services: OAuth2Services, context: PbContext): Promise<boolean> {
  const { state, code, error, user } = await brought(context).catch(() => NOTHING);
  const { tenant } = context;
  const clients = services.realtime(tenant);
  const client = state === "" ? undefined : clients.find(state);
  if (client === undefined || !client.topics.some(({ name }) => name === TOPIC)) return false;
  // The one who waits and the one who comes back must be the same: a state may have been passed on.
  if (client.clientIp !== context.clientIp) return false;
  if (user !== "" && error === "") keepAppleName(tenant, code, user, Date.now());
  client.send(TOPIC, marshalGo({ state, code, ...(error === "" ? {} : { error }) }));
  clients.unsubscribe(client, TOPIC);
  return error === "" && code !== "";
}

const NOTHING = { state: "", code: "", error: "", user: "" };

/** @throws ApiError for a body that cannot be read */
async function brought(context: PbContext): Promise<typeof NOTHING> {
  const posted = context.request.method === "POST" ? await formBody(context) : undefined;
  const text = (name: string): string =>
    posted === undefined ? (context.query.get(name) ?? "") : formText(context, posted, name);
  const user = posted === undefined ? undefined : formValue(context, posted, "user");
  return {
    state: text("state"),
    code: text("code"),
    error: text("error"),
    // Apple's, of its form alone.
    user: typeof user === "string" ? user : "",
  };
}
