import { SystemError } from "../../shared/errors.ts";
import type { DatabaseName, Epoch, Txid } from "../../shared/ids.ts";
import type { Position } from "../../shared/protocol/internal.ts";
import type { TailItem } from "./sealed-log.ts";

export interface TailStep {
  item: TailItem;
  txid: Txid;
  /** Hashes of which one must be the previous link; none when that is unknown before the entries are read. */
  previous: readonly string[];
}

/**
 * Which entries of the tails follow what the prefix holds, in TXID order without a hole.
 *
 * @param input.items - all entries of one database, tails oldest first, in log order
 * @throws SystemError `chain_gap`, `object_corrupt` when two entries claim one TXID or an epoch is impossible
 */
export function planTail(input: {
  prefixTxid: Txid;
  items: readonly TailItem[];
  base: Position | undefined;
  epoch: Epoch;
  database: DatabaseName;
}): TailStep[] {
  const { prefixTxid, items, base, epoch, database } = input;
  const seen = new Map<number, { hash: string | undefined; epoch: number }>();
  const steps: TailStep[] = [];
  let reached: number = prefixTxid;
  let lastEpoch = 0;
  // A tenant that came back to an earlier worker has younger entries in the older tail: only TXIDs tell the order.
  for (const item of items.toSorted((a, b) => (a.item.txid ?? 0) - (b.item.txid ?? 0))) {
    const { txid, entryHash, epoch: entryEpoch } = item.item;
    if (txid === undefined || entryEpoch === undefined) continue;
    if (entryEpoch > epoch || entryEpoch < lastEpoch) {
      throw corrupt(database, `TXID ${txid} claims epoch ${entryEpoch}`);
    }
    lastEpoch = entryEpoch;
    const other = seen.get(txid);
    const differs = (hash: string | undefined): boolean =>
      hash !== undefined && entryHash !== undefined && hash !== entryHash;
    if (other !== undefined && differs(other.hash)) throw corrupt(database, `two entries claim TXID ${txid}`);
    if (txid === base?.txid && base.entryHash !== "" && differs(base.entryHash)) {
      throw corrupt(database, `TXID ${txid} is not what control was told`);
    }
    seen.set(txid, { hash: entryHash ?? other?.hash, epoch: entryEpoch });
    if (txid <= reached) continue;
    if (txid !== reached + 1) {
      throw new SystemError(
        "chain_gap",
        `Cannot load ${database}: TXIDs ${reached + 1} to ${txid - 1} are in no log and not under the prefix`,
      );
    }
    steps.push({ item, txid, previous: previousHashes(txid, entryEpoch, seen, base) });
    reached = txid;
  }
  return steps;
}

function previousHashes(
  txid: number,
  epoch: number,
  seen: ReadonlyMap<number, { hash: string | undefined; epoch: number }>,
  base: Position | undefined,
): string[] {
  const before = seen.get(txid - 1);
  if (before !== undefined) {
    if (before.epoch !== epoch) return [""];
    return before.hash === undefined ? [] : [before.hash];
  }
  // The base may be of this epoch or of an earlier one, in which case the chain starts here.
  if (base?.txid === txid - 1 && base.entryHash !== "") return [base.entryHash, ""];
  return txid === 1 ? [""] : [];
}

const corrupt = (database: DatabaseName, state: string): SystemError =>
  new SystemError("object_corrupt", `Cannot load ${database}: ${state}`, {
    hint: "The logs disagree. The tenant is not served until an operator has looked at it.",
  });
