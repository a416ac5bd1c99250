/** Notes every request of a tenant for its logs, as its settings want it. */
import { LRUCache } from "lru-cache";
import { limits } from "../../../shared/limits.ts";
import type { TenantApp, TenantRequest } from "../../http/contract.ts";
import { loadAuth } from "../../pb/load-auth.ts";
import { realIp } from "../../pb/real-ip.ts";
import { type SettingsObject, settingsGroup, settingsOf } from "../../pb/settings.ts";
import type { Tenant } from "../../tenant/contract.ts";
import { logQueueOf } from "./log-queue.ts";
import { LOG_LEVELS, type LogEntry } from "./store.ts";

/** Whose successes are not worth a line: the logs themselves, long connections, the dashboard. */
const QUIET = /^\/(?:api\/logs(?:[/?]|$)|api\/realtime(?:\?|$)|_\/)/;

interface Who {
  collection: string;
  id: string;
}

/** Tenant slot: who the tokens of late speak for; asked when a batch is written, not by requests. */
const tokens = { create: () => new LRUCache<string, Who>({ max: limits.logTokensKnownMax }) };

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
  const isError = response.status >= 400;
  const settings = logSettings(tenant);
  const level = isError ? LOG_LEVELS.error : LOG_LEVELS.info;
  if (settings === undefined || level < Number(settings["minLevel"] ?? 0)) return;
  const uri = cut(pathAndQuery(request.url), limits.logUrlCharactersMax);
  if (request.method === "OPTIONS" || (!isError && QUIET.test(uri))) return;
  const execTime = performance.now() - startMs;
  const timeMs = Date.now();
  const { headers } = request;
  const method = cut(request.method, limits.logMethodCharactersMax);
  const referer = cut(headers.get("referer") ?? "", limits.logHeaderCharactersMax);
  const userAgent = cut(headers.get("user-agent") ?? "", limits.logHeaderCharactersMax);
  const authorization = headers.get("authorization");
  const logsAddress = settings["logIP"] === true;
  const userIP = logsAddress ? realIp(from) : undefined;
  const remoteIP = logsAddress ? from.clientIp : undefined;
  const failure = isError && isJson(response) ? response.clone() : undefined;
  const { status } = response;
  const entry = (details: Failure): LogEntry => {
    const who = authorization === null ? undefined : findWho(tenant, authorization);
    // Sorted by key, as Go writes a map.
    const data = {
      auth: who?.collection ?? "",
      ...(who !== undefined && settings["logAuthId"] === true ? { authId: who.id } : {}),
      ...details,
      execTime,
      method,
      referer,
      ...(remoteIP === undefined ? {} : { remoteIP }),
      status,
      type: "request",
      url: uri,
      userAgent,
      ...(userIP === undefined ? {} : { userIP }),
    };
    return { timeMs, level, message: `${method} ${unescape(uri)}`, data };
  };
  logQueueOf(tenant).add(
    failure === undefined ? () => entry({}) : async () => entry(await readFailure(failure)),
  );
}

/** Undefined when the tenant keeps no logs, or is not here any more. */
function logSettings(tenant: Tenant): SettingsObject | undefined {
  if (tenant.gone.aborted) return undefined;
  const settings = settingsGroup(settingsOf(tenant, tenant.observe()), "logs");
  return Number(settings["maxDays"] ?? 0) > 0 ? settings : undefined;
}

function findWho(tenant: Tenant, authorization: string): Who | undefined {
  const known = tenant.slot(tokens);
  let who = known.get(authorization);
  if (who === undefined) {
    const auth = loadAuth(authorization, tenant, tenant.observe());
    if (auth === undefined) return undefined;
    who = { collection: auth.collection.name, id: auth.record.id };
    known.set(authorization, who);
  }
  return who;
}

interface Failure {
  details?: unknown;
  error?: string;
}

async function readFailure(response: Response): Promise<Failure> {
  const text = await response.text();
  if (text.length > limits.logDetailsCharactersMax) return {};
  const body = JSON.parse(text) as { message?: string; data?: unknown };
  return { details: body.data ?? null, error: body.message ?? "" };
}

function isJson(response: Response): boolean {
  return response.headers.get("content-type")?.startsWith("application/json") === true;
}

/** As the client wrote it. */
function pathAndQuery(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  return start < 0 ? "/" : url.slice(start);
}

function cut(text: string, charactersMax: number): string {
  return text.length > charactersMax ? `${text.slice(0, charactersMax)}...` : text;
}

function unescape(uri: string): string {
  try {
    return decodeURIComponent(uri);
  } catch {
    return uri;
  }
}
