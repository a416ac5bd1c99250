/** Notes every request of a tenant for its logs, as its settings want it. */
import { limits } from "../../../shared/limits.ts";
import type { TenantApp, TenantRequest } from "../../http/contract.ts";
import { ApiError } from "../../pb/api-error.ts";
import { type Failure, authOf, failureOf } from "../../pb/request-notes.ts";
import { realIp } from "../../pb/real-ip.ts";
import { onSettings, settingsGroup, settingsOf } from "../../pb/settings.ts";
import type { Tenant } from "../../tenant/contract.ts";
import { detailsOf } from "./failure-details.ts";
import { type LogQueue, logQueueOf } from "./log-queue.ts";
import { type RequestFacts, requestEntry } from "../../pb/logs/request-facts.ts";
import { LOG_LEVELS } from "../../pb/logs/store.ts";

/** Whose successes are not worth a line: the logs themselves, long connections, the dashboard, codes on their way. */
const QUIET =
  /^(?:\S+ \/(?:api\/logs(?:[/?]|$)|api\/oauth2-redirect(?:\?|$)|_\/)|(?:GET|HEAD) \/api\/realtime(?:\?|$))/;

/** What a tenant's settings want of its logs. */
interface Plan {
  /** Infinity: it keeps none. */
  readonly minLevel: number;
  readonly logsAddress: boolean;
  readonly logsAuthId: boolean;
  /** The client's address may be in a header. */
  readonly trustsHeaders: boolean;
}

/** Tenant slot: read once per change of the settings, since every request asks. */
const desks = {
  create(tenant: Tenant): { readonly queue: LogQueue; plan: Plan | undefined } {
    const desk = { queue: logQueueOf(tenant), plan: undefined };
    onSettings(tenant, () => (desk.plan = undefined));
    return desk;
  },
};

/** The app, with each of its answers noted. */
export function withRequestLogs(app: TenantApp): TenantApp {
  return (from) => {
    const startMs = performance.now();
    const answered = app(from);
    if (!(answered instanceof Promise)) {
      note(from, answered, startMs);
      return answered;
    }
    return answered.then((response) => {
      note(from, response, startMs);
      return response;
    });
  };
}

function note(from: TenantRequest, response: Response, startMs: number): void {
  const { request, tenant } = from;
  if (tenant.gone.aborted) return;
  const desk = tenant.slot(desks);
  const plan = (desk.plan ??= planOf(tenant));
  const { status } = response;
  const failure = failureOf(request);
  const auth = authOf(request);
  const isError = status >= 400 || failure !== undefined;
  const level = isError ? LOG_LEVELS.error : LOG_LEVELS.info;
  if (level < plan.minLevel) return;
  const uri = cut(pathAndQuery(request.url), limits.logUrlCharactersMax);
  const { headers, method } = request;
  if (method === "OPTIONS" || (!isError && isQuiet(method, uri))) return;
  const facts: RequestFacts = [
    Date.now(),
    level,
    // As exact as PocketBase has it, which packing keeps.
    Math.round((performance.now() - startMs) * 1e6) / 1e6,
    status,
    cut(method, limits.logMethodCharactersMax),
    uri,
    cut(headers.get("referer") ?? "", limits.logHeaderCharactersMax),
    cut(headers.get("user-agent") ?? "", limits.logHeaderCharactersMax),
    auth?.collection.name ?? "",
    (plan.logsAuthId ? auth?.record.id : undefined) ?? null,
    plan.logsAddress ? from.clientIp : null,
    plan.logsAddress ? (plan.trustsHeaders ? realIp(from) : from.clientIp) : null,
  ];
  desk.queue.add(failure === undefined ? facts : () => requestEntry(facts, told(failure)));
}

function told(failure: Failure): { error: string; details?: unknown } {
  if (!(failure instanceof ApiError)) return { error: failure };
  return { error: failure.message, details: detailsOf(failure) };
}

function isQuiet(method: string, uri: string): boolean {
  return !uri.startsWith("/api/collections/") && QUIET.test(`${method} ${uri}`);
}

function planOf(tenant: Tenant): Plan {
  const settings = settingsOf(tenant, tenant.observe());
  const { maxDays, minLevel, logIP, logAuthId } = settingsGroup(settings, "logs");
  const { headers } = settingsGroup(settings, "trustedProxy");
  return {
    minLevel: Number(maxDays ?? 0) > 0 ? Number(minLevel ?? 0) : Infinity,
    logsAddress: logIP === true,
    logsAuthId: logAuthId === true,
    trustsHeaders: Array.isArray(headers) && headers.length > 0,
  };
}

/** As the client wrote it. */
function pathAndQuery(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  return start < 0 ? "/" : url.slice(start);
}

function cut(text: string, charactersMax: number): string {
  return text.length > charactersMax ? `${text.slice(0, charactersMax)}...` : text;
}
