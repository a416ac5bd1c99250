/** `/api/realtime`: GET opens the event stream, POST says what the client wants to hear. */
import { limits } from "../../../shared/limits.ts";
import type { FieldError } from "../../model/contract.ts";
import { Reason, badRequest, forbidden, notFound } from "../../pb/api-error.ts";
import { toApiError } from "../../pb/error-response.ts";
import { foldedValue, lengthError } from "../../pb/form-body.ts";
import type { FeatureRoute, PbContext } from "../../pb/route.ts";
import { realtimeHub } from "./hub.ts";

export const realtimeRoutes: readonly FeatureRoute[] = [
  { method: "GET", path: "/api/realtime", handle: connect },
  { method: "POST", path: "/api/realtime", handle: subscribe },
];

function connect(context: PbContext): Response {
  const lastEventId = context.request.headers.get("last-event-id") ?? context.query.get("lastEventId") ?? "";
  const client = context.tenant.slot(realtimeHub).connect(context.clientIp, lastEventId);
  context.request.signal.addEventListener("abort", () => client.close(), { once: true });
  return new Response(client.stream, {
    headers: {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    },
  });
}

async function subscribe(context: PbContext): Promise<Response> {
  const isJson = context.request.headers.get("content-type")?.startsWith("application/json") === true;
  const { values } = await context.body().catch((error: unknown) => {
    throw toApiError(error)?.status === 400 ? badRequest("", undefined, error) : error;
  });
  const { clientId, subscriptions } = validated(values, isJson);
  const hub = context.tenant.slot(realtimeHub);
  // Of two that come at once the later one counts.
  await hub.find(clientId)?.resumed;
  const client = hub.find(clientId);
  if (client === undefined) {
    const reason = `no client associated with connection ID ${JSON.stringify(clientId)}`;
    throw notFound("Missing or invalid client id.", new Reason(reason));
  }
  if (client.clientIp !== context.clientIp) {
    throw badRequest("The current and the previous request IPs don't match.");
  }
  const known = client.auth?.record;
  const now = context.auth?.record;
  if (known !== undefined && (known.id !== now?.id || known.collection.id !== now.collection.id)) {
    throw forbidden("The current and the previous request authorization don't match.");
  }
  if (client.resumeAfter === undefined) hub.subscribe(client, subscriptions, now);
  else await hub.resume(client, subscriptions, now);
  return context.noContent();
}

function validated(
  values: Readonly<Record<string, unknown>>,
  isJson: boolean,
): { clientId: string; subscriptions: string[] } {
  const id = isJson ? foldedValue(values, "clientId") : [values["clientId"]].flat()[0];
  const clientId = asText(id ?? "", isJson);
  const given = (isJson ? foldedValue(values, "subscriptions") : values["subscriptions"]) ?? [];
  if (isJson && !Array.isArray(given)) throw badRequest();
  const subscriptions = (Array.isArray(given) ? given : [given]).map((topic: unknown) =>
    asText(topic ?? "", isJson),
  );
  const errors: Record<string, unknown> = {};
  const idError =
    clientId === ""
      ? { code: "validation_required", message: "Cannot be blank." }
      : lengthError(clientId, 1, 255);
  if (idError !== undefined) errors["clientId"] = idError;
  if (subscriptions.length > limits.realtimeTopicsMax) {
    const max = limits.realtimeTopicsMax;
    errors["subscriptions"] = {
      code: "validation_length_too_long",
      message: `The length must be no more than ${max}.`,
      params: { max, min: 0 },
    };
  } else {
    const items: Record<string, FieldError> = {};
    for (const [index, topic] of subscriptions.entries()) {
      const error = lengthError(topic, 0, limits.realtimeTopicCharactersMax);
      if (error !== undefined) items[index] = error;
    }
    if (Object.keys(items).length > 0) errors["subscriptions"] = items;
  }
  if (Object.keys(errors).length > 0) throw badRequest("", errors);
  return { clientId, subscriptions };
}

/** Values of forms were inferred and are text again; JSON says what it means. */
function asText(value: unknown, isJson: boolean): string {
  if (typeof value === "string") return value;
  if (isJson) throw badRequest();
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  throw badRequest();
}
