import { type Meta, audit } from "./audit.ts";
import { BLOCKS } from "./keys.ts";
import { type Decision, type View, draft, put } from "./view.ts";

/**
 * Commits the intent to claim the next block of incarnation numbers; only then may it be claimed in the object store. So every
 * claimed block is known to the state, unless the state is an old copy.
 */
export function intendBlock(view: View, meta: Meta): Decision<number> {
  const block = (view.get(BLOCKS)?.block ?? 0) + 1;
  return {
    draft: draft(
      view,
      [BLOCKS],
      [put(BLOCKS, { block, used: 0 }), audit(meta, "block.intend", String(block))],
    ),
    value: block,
  };
}
