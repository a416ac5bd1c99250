import type { LogEntry } from "./store.ts";

/**
 * What a log keeps of a request that went as it should, as it waits and as it is packed: a flat array, because it is made for every
 * request and most are never read. What is null is not in the entry.
 */
export type RequestFacts = readonly [
  timeMs: number,
  level: number,
  execTimeMs: number,
  status: number,
  method: string,
  /** Path and query. */
  uri: string,
  referer: string,
  userAgent: string,
  auth: string,
  authId: string | null,
  remoteIp: string | null,
  userIp: string | null,
];

/** @param failed - why, and more than that, of one that failed */
export function requestEntry(facts: RequestFacts, failed?: { error: string; details?: unknown }): LogEntry {
  const [timeMs, level, execTime, status, method, url, referer, userAgent, auth, authId, remoteIP, userIP] =
    facts;
  // Sorted by key, as Go writes a map; what is undefined is not written.
  const data = {
    auth,
    authId: authId ?? undefined,
    details: failed?.details,
    error: failed?.error,
    execTime,
    method,
    referer,
    remoteIP: remoteIP ?? undefined,
    status,
    type: "request",
    url,
    userAgent,
    userIP: userIP ?? undefined,
  };
  return { timeMs, level, message: `${method} ${unescape(url)}`, data };
}

function unescape(uri: string): string {
  if (!uri.includes("%")) return uri;
  try {
    return decodeURIComponent(uri);
  } catch {
    return uri;
  }
}
