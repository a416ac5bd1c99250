import { SystemError } from "../../shared/errors.ts";
import type { Incarnation } from "../../shared/ids.ts";
import { registeredKey } from "../../shared/objects/layout.ts";
import { type BlockParts, unknownBlock } from "./number-blocks.ts";

/**
 * Before a worker hears its number: a mark of it in the object store, then a look for a newer claim of numbers. A restore claims a
 * block first and lists `workers/` then, so either it finds the mark and seals this log too, or this look finds the claim.
 *
 * @throws SystemError `control_no_leader` when another control has taken over, `store_unavailable`
 */
export async function admitIncarnation(
  parts: Pick<BlockParts, "objects" | "table">,
  incarnation: Incarnation,
  signal: AbortSignal,
): Promise<void> {
  const key = registeredKey(incarnation);
  const outcome = await parts.objects.putIfAbsent(key, new TextEncoder().encode("\n"), { signal });
  if (outcome === "unknown" && (await parts.objects.head(key, { signal })) === undefined) {
    throw new SystemError("store_unavailable", `Cannot register worker: ${key} could not be written`, {
      retryAfterMs: 1000,
    });
  }
  const unknown = await unknownBlock(parts, signal);
  if (unknown === undefined) return;
  throw new SystemError(
    "control_no_leader",
    `Cannot register worker: ${unknown} was claimed by another control, or by a restored one`,
    { hint: "Stop this replica if control was restored elsewhere.", retryAfterMs: 1000 },
  );
}
