import type { DatabaseName } from "../../shared/ids.ts";
import type { Position, Positions } from "../../shared/protocol/internal.ts";

/** The floor of a load: what control was told, and what this worker knows itself. */
export function higherOf(base: Positions, known: ReadonlyMap<DatabaseName, Position> = new Map()): Positions {
  const floor = { ...base };
  for (const [name, position] of known) {
    if (position.txid >= (floor[name]?.txid ?? 0)) floor[name] = position;
  }
  return floor;
}
