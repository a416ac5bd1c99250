import type { Incarnation, LogSeq } from "../ids.ts";
import { limits } from "../limits.ts";
import type { ObjectStore } from "../objects/contract.ts";
import { logKey, logPrefix } from "../objects/layout.ts";
import { listAll } from "../objects/read.ts";
import { encodeLogObject } from "./encode.ts";
import { readSlot } from "./slots.ts";

/**
 * Deletes the objects of a dead incarnation's log, for who knows that no tenant names it as a tail any more, and has known so for
 * an hour. The SEAL at its end stays for ever: a worker that wakes after days must still find it. So do objects above, which are
 * void and few. A log that ended within its first `sealSlots` keeps its few slots, without which a sealer could not tell where it
 * ended; they are emptied: same writer, no entries.
 *
 * @returns how many were deleted @throws the store's errors; what was deleted stays deleted, and calling again goes on
 */
export async function deleteSealedLog(
  store: ObjectStore,
  incarnation: Incarnation,
  endSeq: LogSeq,
  signal: AbortSignal,
): Promise<number> {
  if (endSeq <= limits.sealSlots) return emptySlots(store, incarnation, endSeq, signal);
  let deleted = 0;
  let batch: string[] = [];
  const flush = async (): Promise<void> => {
    if (batch.length > 0) await store.delete(batch, { signal });
    deleted += batch.length;
    batch = [];
  };
  const end = logKey(incarnation, endSeq);
  for await (const { key } of listAll(store, { prefix: logPrefix(incarnation), signal })) {
    if (key >= end) break;
    batch.push(key);
    if (batch.length === limits.storeDeleteBatch) await flush();
  }
  await flush();
  return deleted;
}

async function emptySlots(
  store: ObjectStore,
  incarnation: Incarnation,
  endSeq: LogSeq,
  signal: AbortSignal,
): Promise<number> {
  let emptied = 0;
  for (let seq = 1 as LogSeq; seq < endSeq; seq = (seq + 1) as LogSeq) {
    const header = await readSlot({ store, incarnation }, seq, { signal });
    if (header?.kind !== "entries") continue;
    await store.put(logKey(incarnation, seq), encodeLogObject(header, []), { signal });
    emptied++;
  }
  return emptied;
}
