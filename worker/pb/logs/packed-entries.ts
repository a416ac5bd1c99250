import type { RequestFacts } from "./request-facts.ts";
import type { LogEntry } from "./store.ts";

/** What waits to become a row. */
export type Packed = LogEntry | RequestFacts;

/** What requests have in common that came one after another, in the order of `RequestFacts`. */
type Common = readonly [
  level: number,
  status: number,
  method: string,
  referer: string,
  userAgent: string,
  auth: string,
  authId: string | null,
  remoteIp: string | null,
  userIp: string | null,
];

type Row = LogEntry | readonly [timeMs: number, execTimeNs: number, uri: string, common: number];

interface Pack {
  commons: Common[];
  rows: Row[];
}

/** In how many of the last ones a request looks for its own. */
const LOOKS_BACK = 8;
const NS_PER_MS = 1e6;

export const isFacts = (entry: Packed): entry is RequestFacts => Array.isArray(entry);

/** As JSON, compressed. What requests have in common is there once: to write it again and again cost more than all else of a log. */
export function packEntries(entries: readonly Packed[]): Uint8Array {
  const commons: Common[] = [];
  const rows = entries.map((entry): Row => {
    if (!isFacts(entry)) return entry;
    const [timeMs, , execTimeMs, , , uri] = entry;
    return [timeMs, Math.round(execTimeMs * NS_PER_MS), uri, commonOf(commons, entry)];
  });
  const pack: Pack = { commons, rows };
  return Bun.zstdCompressSync(JSON.stringify(pack), { level: 1 });
}

/** One that cannot be read is given up: logs are not worth more than that. */
export function unpackEntries(packed: Uint8Array): Packed[] {
  try {
    const pack = JSON.parse(new TextDecoder().decode(Bun.zstdDecompressSync(packed))) as Pack | Packed[];
    // Of releases that packed every entry by itself.
    if (Array.isArray(pack)) return pack;
    return pack.rows.map((row) => ("data" in row ? row : factsOf(pack.commons, row)));
  } catch {
    return [];
  }
}

function commonOf(commons: Common[], facts: RequestFacts): number {
  const [, level, , status, method, , referer, userAgent, auth, authId, remoteIp, userIp] = facts;
  for (let i = commons.length - 1; i >= 0 && i >= commons.length - LOOKS_BACK; i--) {
    const one = commons[i];
    if (
      one !== undefined &&
      one[0] === level &&
      one[1] === status &&
      one[2] === method &&
      one[3] === referer &&
      one[4] === userAgent &&
      one[5] === auth &&
      one[6] === authId &&
      one[7] === remoteIp &&
      one[8] === userIp
    ) {
      return i;
    }
  }
  return commons.push([level, status, method, referer, userAgent, auth, authId, remoteIp, userIp]) - 1;
}

function factsOf(
  commons: readonly Common[],
  [timeMs, execTimeNs, uri, at]: Exclude<Row, LogEntry>,
): RequestFacts {
  const common = commons[at];
  if (common === undefined) throw new RangeError("a log batch is damaged");
  const [level, status, method, referer, userAgent, auth, authId, remoteIp, userIp] = common;
  const execTimeMs = execTimeNs / NS_PER_MS;
  return [timeMs, level, execTimeMs, status, method, uri, referer, userAgent, auth, authId, remoteIp, userIp];
}
