import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { blockKey } from "../../shared/objects/layout.ts";
import { getBytes } from "../../shared/objects/read.ts";
import { intendBlock } from "../domain/blocks.ts";
import { BLOCKS } from "../domain/keys.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";

export interface BlockParts {
  objects: ObjectStore;
  table: Table;
  runner: Runner;
}

/**
 * Refuses when the object store holds a claimed block that the state never intended: the state is an older copy, and numbers
 * that it would give away may be in use (control.md, "Incarnations").
 *
 * @throws SystemError `control_rolled_back`; `store_unavailable` and the like when the store cannot be asked
 */
export async function checkRollback(parts: BlockParts, signal: AbortSignal): Promise<void> {
  const unknown = await unknownBlock(parts, signal);
  if (unknown !== undefined) throw rolledBack(unknown);
}

/** The key of a claimed block that the state does not know. */
export async function unknownBlock(
  { objects, table }: Pick<BlockParts, "objects" | "table">,
  signal: AbortSignal,
): Promise<string | undefined> {
  const known = table.get(BLOCKS)?.block ?? 0;
  const page = await objects.list({
    prefix: blockKey(0).slice(0, -8),
    startAfter: blockKey(known),
    limit: 1,
    signal,
  });
  return page.objects[0]?.key;
}

/**
 * Commits the intent, then claims the block by create-if-absent. Every term of leadership claims one of its own, so a number is
 * never given twice even when a state is put back that lost none of the claims.
 *
 * @throws as `checkRollback`
 */
export async function claimBlock(
  { objects, table, runner }: BlockParts,
  signal: AbortSignal,
): Promise<number> {
  const meta = runner.meta("control");
  const block = await runner.run((view) => intendBlock(view, meta), signal);
  const nonce = runner.newId();
  const body = new TextEncoder().encode(
    JSON.stringify({ nonce, intended: table.revision, at: new Date(meta.atMs).toISOString() }) + "\n",
  );
  for (let attempt = 0; attempt < limits.blockClaimsMax; attempt++) {
    const outcome = await objects.putIfAbsent(blockKey(block), body, { signal });
    if (outcome === "created") return block;
    if (outcome === "exists") {
      const there = await getBytes(objects, blockKey(block), { signal });
      // An earlier try of ours whose answer was lost.
      if (there !== undefined && new TextDecoder().decode(there).includes(`"${nonce}"`)) return block;
      throw rolledBack(blockKey(block));
    }
  }
  throw new SystemError(
    "store_unavailable",
    `Cannot claim ${blockKey(block)}: the store gave no clear answer`,
    {
      retryAfterMs: 1000,
    },
  );
}

/** The block to give numbers from: the first, and one after the other as they are used up. */
export function claimedBlocks(parts: BlockParts, first: number, signal: AbortSignal): () => Promise<number> {
  let current = first;
  let claiming: Promise<number> | undefined;
  return async () => {
    const known = parts.table.get(BLOCKS);
    const usedUp = known?.block === current && known.used >= limits.incarnationsPerBlock;
    if (!usedUp) return current;
    claiming ??= claimBlock(parts, signal).finally(() => {
      claiming = undefined;
    });
    current = await claiming;
    return current;
  };
}

function rolledBack(key: string): SystemError {
  return new SystemError(
    "control_rolled_back",
    `Cannot lead: the object store holds ${key}, which this state never intended; the state is an older copy or another cluster's`,
    {
      hint: "Do not start it again from this directory. `manybase control restore` builds the state from the object store.",
    },
  );
}
