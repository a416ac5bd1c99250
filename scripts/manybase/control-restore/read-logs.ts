import {
  type Incarnation,
  type LogSeq,
  type TenantId,
  hex16,
  parseIncarnation,
} from "../../../shared/ids.ts";
import { sealLog } from "../../../shared/log/seal.ts";
import { parallel } from "../../../worker/replication/parallel.ts";
import { limits } from "../../../shared/limits.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { retiredKey, workersPrefix } from "../../../shared/objects/layout.ts";
import { getBytes } from "../../../shared/objects/read.ts";
import { SealedLogs, type TailItem } from "../../../worker/replication/sealed-log.ts";
import type { FoundLog, LoggedTenant } from "../../../control/disaster/rebuild.ts";

export interface LogContents {
  logs: FoundLog[];
  logged: Map<TenantId, LoggedTenant & { items: TailItem[] }>;
}

/**
 * Seals every log under `workers/` and reads which tenants have entries in them. Workers that are still alive find the SEAL and
 * stop. Retired logs are only named.
 *
 * @param known incarnations that an old state names, and which may never have written anything
 * @throws SystemError `log_corrupt` and what the store and the log decoders throw
 */
export async function readLogs(
  store: ObjectStore,
  known: Iterable<Incarnation>,
  signal: AbortSignal,
): Promise<LogContents> {
  const incarnations = new Set<Incarnation>([...known, ...(await listIncarnations(store, signal))]);
  const sorted = [...incarnations].sort((a, b) => a - b);
  const logs = await parallel(sorted, limits.sealsParallel, async (incarnation): Promise<FoundLog> => {
    const retired = await getBytes(store, retiredKey(incarnation), { signal });
    const nonce = crypto.randomUUID().replaceAll("-", "");
    const endSeq = await sealLog({ store, incarnation, from: 0 as LogSeq, nonce, signal });
    return { incarnation, endSeq, retired: retired !== undefined };
  });
  const reader = new SealedLogs(store);
  const logged: LogContents["logged"] = new Map();
  for (const { incarnation, endSeq, retired } of logs) {
    if (retired) continue;
    for (const [tenant, items] of await reader.all({ incarnation, endSeq }, signal)) {
      const all = logged.get(tenant) ?? { tails: [], epochMax: 0, encrypted: false, items: [] };
      logged.set(tenant, all);
      all.tails.push({ incarnation, endSeq });
      for (const item of items) {
        all.items.push(item);
        all.epochMax = Math.max(all.epochMax, item.item.epoch ?? 0);
        all.encrypted ||= item.item.encrypted === true;
      }
    }
  }
  return { logs, logged };
}

async function listIncarnations(store: ObjectStore, signal: AbortSignal): Promise<Incarnation[]> {
  const found: Incarnation[] = [];
  let startAfter: string | undefined;
  do {
    const page = await store.list({
      prefix: workersPrefix,
      delimiter: "/",
      signal,
      ...(startAfter === undefined ? {} : { startAfter }),
    });
    for (const prefix of page.prefixes) {
      const digits = prefix.slice(workersPrefix.length, -1);
      const value = Number.parseInt(digits, 16);
      if (hex16(value) === digits) found.push(parseIncarnation(value));
    }
    startAfter = page.next;
  } while (startAfter !== undefined);
  return found;
}
