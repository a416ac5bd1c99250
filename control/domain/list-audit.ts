import { hex16 } from "../../shared/ids.ts";
import type { ReplicatedStore } from "../store/contract.ts";
import { PREFIXES } from "./keys.ts";
import type { AuditRecord } from "./records.ts";

export interface AuditQuery {
  limit: number;
  /** Only entries older than this one, by id. */
  before?: string;
  subject?: string;
  action?: string;
  who?: string;
}

export interface AuditPage {
  entries: (AuditRecord & { id: string })[];
  /** The `before` of the next page; absent at the end. */
  next?: string;
}

const WINDOW_MS = 60_000;

/**
 * Audit entries, newest first. The store reads forwards only, so time is gone through backwards in windows that double until
 * the page is full.
 */
export async function listAudit(
  store: ReplicatedStore,
  nowMs: number,
  query: AuditQuery,
): Promise<AuditPage> {
  const { before } = query;
  const entries: AuditPage["entries"] = [];
  // Clocks of replicas differ: what is a little in the future is there too.
  let until = before === undefined ? undefined : PREFIXES.audit + before;
  let untilMs = before === undefined ? nowMs + WINDOW_MS : parseTime(before);
  for (let windowMs = WINDOW_MS; ; windowMs *= 2) {
    const fromMs = Math.max(0, untilMs - windowMs);
    const from = PREFIXES.audit + hex16(fromMs);
    const found = await windowOf(store, from, until);
    for (const entry of found.toReversed()) {
      if (!matches(entry, query)) continue;
      if (entries.length === query.limit) return { entries, next: entries.at(-1)?.id ?? entry.id };
      entries.push(entry);
    }
    if (fromMs === 0) return { entries };
    until = from;
    untilMs = fromMs;
  }
}

async function windowOf(
  store: ReplicatedStore,
  from: string,
  until: string | undefined,
): Promise<AuditPage["entries"]> {
  const entries: AuditPage["entries"] = [];
  let at: string | undefined = from;
  while (at !== undefined) {
    const page: Awaited<ReturnType<ReplicatedStore["range"]>> = await store.range(PREFIXES.audit, {
      from: at,
      limit: 500,
      stale: true,
    });
    for (const { key, value } of page.kvs) {
      if (until !== undefined && key >= until) return entries;
      entries.push({ id: key.slice(PREFIXES.audit.length), ...(value as AuditRecord) });
    }
    at = page.next;
  }
  return entries;
}

function matches(entry: AuditRecord, { subject, action, who }: AuditQuery): boolean {
  const named = subject === undefined || entry.subject.split(" ").includes(subject);
  return (
    named && (action === undefined || entry.action === action) && (who === undefined || entry.who === who)
  );
}

/** An id starts with its time; what is no id is older than everything. */
function parseTime(id: string): number {
  const ms = Number.parseInt(id.slice(0, 16), 16);
  // The entry's own millisecond may hold others that are older by id.
  return Number.isSafeInteger(ms) ? ms + 1 : 0;
}
