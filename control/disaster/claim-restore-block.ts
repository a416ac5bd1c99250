import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { blockKey } from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";

/**
 * Claims the block after the newest one. From then on no other control that does not know of it leads or admits a worker.
 * @param above - a block that was claimed for sure, though the claim may be missing
 * @throws SystemError `store_unavailable`
 */
export async function claimRestoreBlock(
  objects: ObjectStore,
  signal: AbortSignal,
  above = 0,
): Promise<number> {
  const prefix = blockKey(0).slice(0, -8);
  let newest = above;
  for await (const { key } of listAll(objects, { prefix, signal })) {
    newest = Math.max(newest, Number.parseInt(key.slice(prefix.length), 16) || 0);
  }
  for (let block = newest + 1; block <= newest + limits.blockClaimsMax; block++) {
    const body = new TextEncoder().encode(`${JSON.stringify({ restore: crypto.randomUUID() })}\n`);
    // Unknown: whoever has it, the next one is as good.
    if ((await objects.putIfAbsent(blockKey(block), body, { signal })) === "created") return block;
  }
  throw new SystemError(
    "store_unavailable",
    "Cannot restore: the store took no claim of incarnation numbers",
    {
      hint: "Is another control running on this store? Stop it, and run this again.",
    },
  );
}
