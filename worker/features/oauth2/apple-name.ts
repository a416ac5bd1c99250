/** Apple tells a user's name once, to the redirect, and not with the token: it is kept for the sign-in that follows. */
import { limits } from "../../../shared/limits.ts";
import { asObject, textAt } from "../../oauth2/paths.ts";
import type { Tenant } from "../../tenant/contract.ts";

interface Kept {
  name: string;
  untilMs: number;
}

/** Tenant slot: names by authorisation code, oldest first. */
const names = { create: (): Map<string, Kept> => new Map() };

/** `user` is the JSON that Apple posts. */
export function keepAppleName(tenant: Tenant, code: string, user: string, nowMs: number): void {
  const kept = tenant.slot(names);
  const name = nameOf(user);
  if (name === "" || code === "") return;
  for (const [old, { untilMs }] of kept) {
    if (untilMs > nowMs && kept.size < limits.oauth2AppleNamesMax) break;
    kept.delete(old);
  }
  kept.set(code, { name, untilMs: nowMs + limits.oauth2AppleNameMs });
}

/** Empty when none is kept. */
export function takeAppleName(tenant: Tenant, code: string, nowMs: number): string {
  const kept = tenant.slot(names);
  const found = kept.get(code);
  kept.delete(code);
  return found !== undefined && found.untilMs > nowMs ? found.name : "";
}

function nameOf(user: string): string {
  try {
    const parsed = asObject(JSON.parse(user));
    return `${textAt(parsed, "name.firstName")} ${textAt(parsed, "name.lastName")}`.trim();
  } catch {
    return "";
  }
}
