/** A tenant's own rate limits, from its settings: the most specific rule for a request counts its client. */
import { modelOf } from "../model/model.ts";
import { inRange } from "./address-range.ts";
import { Reason, tooManyRequests } from "./api-error.ts";
import type { AuthState, FeatureRoute, PbContext } from "./route.ts";
import { carriedWindows } from "../state/carried-windows.ts";
import type { Tenant } from "../tenant/contract.ts";
import { type SettingsObject, settingsGroup, settingsOf, settingsVersion } from "./settings.ts";

interface Rule {
  /** What the logs say of whoever has used it up. */
  exceeded: Reason;
  label: string;
  audience: string;
  windowMs: number;
  requestsMax: number;
}

/** Tenant slot: counters live with the tenant and start anew when its settings change. */
const counters = {
  create: (tenant: Tenant) => ({
    windows: carriedWindows(tenant, "rate-limits"),
    version: -1,
    rules: noRules,
  }),
};
const noRules: readonly Rule[] = [];

/** What is counted: a request, or a part of one that stands for a request of its own. */
export interface Counted {
  readonly method: string;
  readonly path: string;
  /** As the path names it. */
  readonly collection: string | undefined;
}

/** @throws ApiError 429 when the client has used up what the rule allows; superusers are never limited */
export function checkRateLimit(
  context: PbContext,
  route: Pick<FeatureRoute, "path" | "actions">,
  counted: Counted = {
    method: context.request.method,
    path: context.path,
    collection: context.params["collection"],
  },
): void {
  if (context.auth?.isSuperuser === true) return;
  const { tenant, clientIp } = context;
  const state = tenant.slot(counters);
  const settings = settingsOf(tenant, context.seen);
  if (state.version !== settingsVersion(tenant)) {
    // Of the owner before they came under the settings that are read now.
    if (state.version >= 0) state.windows.clear();
    state.version = settingsVersion(tenant);
    state.rules = activeRules(settingsGroup(settings, "rateLimits"));
  }
  if (state.rules.length === 0 || isExcluded(settings, clientIp)) return;
  const collection =
    route.actions === undefined ? undefined : modelOf(tenant).schema.find(counted.collection ?? "");
  const actions = collection === undefined ? [] : (route.actions ?? []);
  const rule = findRule(state.rules, labelsOf(counted, collection?.name ?? "", actions), context.auth);
  if (rule === undefined) return;
  const subject = collection === undefined ? rule.label : `${collection.id} ${route.path} ${actions.join()}`;
  const key = `${subject} ${rule.audience} ${clientIp}`;
  if (!state.windows.take(key, rule.requestsMax, rule.windowMs, Date.now()))
    throw tooManyRequests("", rule.exceeded);
}

function labelsOf({ method, path }: Counted, collection: string, actions: readonly string[]): string[] {
  return [
    ...actions.map((action) => `${collection}:${action}`),
    ...actions.map((action) => `*:${action}`),
    `${method} ${path}`,
    path,
  ];
}

/** Labels come from the most to the least specific; one that ends in a slash stands for all below it. */
function findRule(
  rules: readonly Rule[],
  labels: readonly string[],
  auth: AuthState | undefined,
): Rule | undefined {
  const audience = auth === undefined ? "@guest" : "@auth";
  const fits = rules.filter((rule) => rule.audience === "" || rule.audience === audience);
  for (const label of labels) {
    const exact = fits.find((rule) => rule.label === label);
    if (exact !== undefined) return exact;
    const prefix = fits.find((rule) => rule.label.endsWith("/") && `${label}/`.startsWith(rule.label));
    if (prefix !== undefined) return prefix;
  }
  return undefined;
}

function activeRules(group: SettingsObject): Rule[] {
  const rules = group["rules"];
  if (group["enabled"] !== true || !Array.isArray(rules)) return [];
  return rules.flatMap((rule): Rule[] => {
    if (typeof rule !== "object" || rule === null || Array.isArray(rule)) return [];
    const { label, audience, duration, maxRequests } = rule;
    if (typeof label !== "string") return [];
    const told = JSON.stringify({ label, audience, duration, maxRequests });
    return [
      {
        exceeded: new Reason(`triggered rate limit rule: ${told}`),
        label,
        audience: typeof audience === "string" ? audience : "",
        windowMs: Number(duration) * 1000,
        requestsMax: Number(maxRequests),
      },
    ];
  });
}

function isExcluded(settings: SettingsObject, clientIp: string): boolean {
  const excluded = settingsGroup(settings, "rateLimits")["excludedIPs"];
  return (
    Array.isArray(excluded) && excluded.some((range) => typeof range === "string" && inRange(clientIp, range))
  );
}
