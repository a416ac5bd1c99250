import {
  type Incarnation,
  type LogSeq,
  type TenantId,
  hex16,
  parseIncarnation,
} from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { sealLog } from "../../../shared/log/seal.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { retiredKey, workersPrefix } from "../../../shared/objects/layout.ts";
import { getBytes } from "../../../shared/objects/read.ts";
import type { FoundLog, LoggedTenant } from "../../../control/disaster/rebuild.ts";
import { parallel } from "../../../worker/replication/parallel.ts";
import { SealedLogs, type TailItem } from "../../../worker/replication/sealed-log.ts";
import { type Span, missingSlots, readBelowWatermark, readWithHoles, standingEnd } from "./log-holes.ts";

/** A log that was read, and what of it is not there. */
export interface ReadLog extends FoundLog {
  /** Where it ended before it was sealed for this, as far as its own SEALs and control's old state tell. */
  endBefore: LogSeq | undefined;
  /** Slots that its entries were in, or may have been. */
  missing: Span[];
}

export interface LogContents {
  logs: ReadLog[];
  logged: Map<TenantId, LoggedTenant & { items: TailItem[] }>;
  /** Entries in missing slots, as other slots tell. */
  lost: Map<TenantId, TailItem[]>;
  /** Entries that were under prefixes already; read once somebody asks. */
  older: () => Promise<ReadonlyMap<TenantId, TailItem[]>>;
}

/**
 * Seals every log under `workers/` and reads which tenants have entries in them. Workers that are still alive find the SEAL and
 * stop. Retired logs are only named.
 *
 * @param known incarnations that an old state names, which may never have written anything, with where it says that they end
 * @throws SystemError `log_corrupt` and what the store and the log decoders throw; missing slots are told, not thrown
 */
export async function readLogs(
  store: ObjectStore,
  known: ReadonlyMap<Incarnation, LogSeq | undefined>,
  signal: AbortSignal,
): Promise<LogContents> {
  const incarnations = new Set<Incarnation>([...known.keys(), ...(await listIncarnations(store, signal))]);
  const sorted = [...incarnations].sort((a, b) => a - b);
  const logs = await parallel(sorted, limits.sealsParallel, async (incarnation): Promise<ReadLog> => {
    const retired = (await getBytes(store, retiredKey(incarnation), { signal })) !== undefined;
    const nonce = crypto.randomUUID().replaceAll("-", "");
    const ends = [known.get(incarnation), await standingEnd(store, incarnation, signal)];
    const endBefore = ends.reduce((a, b) => (b === undefined || (a ?? 0) > b ? a : b), undefined);
    const endSeq = await sealLog({ store, incarnation, from: 0 as LogSeq, nonce, signal });
    return { incarnation, endSeq, endBefore, retired, missing: [] };
  });
  const reader = new SealedLogs(store);
  let older: ReturnType<LogContents["older"]> | undefined;
  const contents: LogContents = {
    ...{ logs, logged: new Map(), lost: new Map() },
    older: () => (older ??= readOlder(store, logs, signal)),
  };
  for (const log of logs) {
    if (log.retired) continue;
    const { incarnation, endSeq, endBefore } = log;
    log.missing = await missingSlots(store, log, endBefore, signal);
    const holes = log.missing.length > 0;
    const read = holes ? await readWithHoles(store, log, signal) : undefined;
    for (const [tenant, items] of read?.items ?? (await reader.all({ incarnation, endSeq }, signal))) {
      const all = contents.logged.get(tenant) ?? { tails: [], epochMax: 0, encrypted: false, items: [] };
      contents.logged.set(tenant, all);
      all.tails.push({ incarnation, endSeq });
      for (const item of items) {
        all.items.push(item);
        all.epochMax = Math.max(all.epochMax, item.item.epoch ?? 0);
        all.encrypted ||= item.item.encrypted === true;
      }
    }
    for (const [tenant, items] of read?.lost ?? []) {
      contents.lost.set(tenant, [...(contents.lost.get(tenant) ?? []), ...items]);
    }
  }
  return contents;
}

async function readOlder(
  store: ObjectStore,
  logs: readonly ReadLog[],
  signal: AbortSignal,
): Promise<Map<TenantId, TailItem[]>> {
  const all = new Map<TenantId, TailItem[]>();
  for (const log of logs) {
    if (log.retired) continue;
    for (const [tenant, items] of await readBelowWatermark(store, log, signal)) {
      all.set(tenant, [...(all.get(tenant) ?? []), ...items]);
    }
  }
  return all;
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
