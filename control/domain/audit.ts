import type { Op } from "../store/contract.ts";
import { auditKey } from "./keys.ts";
import { put } from "./view.ts";

/** Who commands, when, and an id that makes the audit entry's key its own. */
export interface Meta {
  who: string;
  atMs: number;
  id: string;
}

/** The entry that a mutation adds in its own transaction. Details never hold secrets. */
export function audit(
  meta: Meta,
  action: string,
  subject: string,
  details: Record<string, unknown> = {},
): Op {
  return put(auditKey(meta.atMs, meta.id), {
    at: isoTime(meta.atMs),
    who: meta.who,
    action,
    subject,
    details,
  });
}

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
