import type { Incarnation, LogSeq } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { LOG_OVERHEAD_BYTES, encodeLogObject, logEntryBytes } from "../../../shared/log/encode.ts";
import type { DataEntry, RefEntry } from "../../../shared/log/log.ts";
import { sealLog } from "../../../shared/log/seal.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { logKey } from "../../../shared/objects/layout.ts";
import { systemClock } from "../../../worker/replication/clock.ts";
import { putDurably } from "../../../worker/replication/put-durably.ts";
import { SealedLogs } from "../../../worker/replication/sealed-log.ts";
import type { Change } from "./plan-database.ts";

/**
 * Writes changes into a log of their own, as they stood where they come from, and seals it. Broken off, it is a log like any other
 * that nobody writes any more: what is in it is there twice, which readers do not mind.
 */
export async function writeRescueLog(
  store: ObjectStore,
  incarnation: Incarnation,
  changes: Iterable<Change>,
  signal: AbortSignal,
): Promise<{ entries: number }> {
  const nonce = crypto.randomUUID().replaceAll("-", "");
  let [seq, entries, bytes] = [0, 0, LOG_OVERHEAD_BYTES];
  let batch: (DataEntry | RefEntry)[] = [];
  const put = async (): Promise<void> => {
    if (batch.length === 0) return;
    const slot = ++seq as LogSeq;
    const header = { incarnation, seq: slot, nonce, kind: "entries", lowWatermark: 0 as LogSeq } as const;
    const body = encodeLogObject(header, batch);
    // The number is this run's alone: what exists there is this object, by an earlier try.
    await putDurably(store, logKey(incarnation, slot), () => body, { clock: systemClock, signal });
    entries += batch.length;
    batch = [];
    bytes = LOG_OVERHEAD_BYTES;
  };
  const read = changeReader(store, signal);
  for (const change of changes) {
    const entry = await read(change);
    const size = logEntryBytes(entry);
    if (bytes + size > limits.logObjectBytesMax) await put();
    batch.push(entry);
    bytes += size;
  }
  await put();
  if (seq > 0) await sealLog({ store, incarnation, from: seq as LogSeq, nonce, signal });
  return { entries };
}

/** An entry as it stands: of an encrypted tenant it stays sealed. */
export function changeReader(
  store: ObjectStore,
  signal: AbortSignal,
): (change: Change) => Promise<DataEntry | RefEntry> {
  const logs = new SealedLogs(store);
  return async ({ from }) => ("item" in from ? logs.entry(from.item, signal) : from.entry);
}
