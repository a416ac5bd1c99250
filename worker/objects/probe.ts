import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore, PutOutcome } from "../../shared/objects/contract.ts";
import { getBytes } from "../../shared/objects/read.ts";

export interface ProbeOptions {
  randomBytes?: (length: number) => Uint8Array;
  signal?: AbortSignal;
}

/**
 * Asks the store at start for what all fencing rests on: of several create-if-absent of one key, in sequence and
 * raced, exactly one wins and its body stays. Removes what it wrote.
 * @throws SystemError `store_misbehaves`; `store_unavailable` when an answer stays open
 */
export async function probeStore(store: ObjectStore, options: ProbeOptions = {}): Promise<void> {
  const randomBytes = options.randomBytes ?? ((length) => crypto.getRandomValues(new Uint8Array(length)));
  const request = options.signal === undefined ? {} : { signal: options.signal };
  const name = randomBytes(16).toHex();
  const bodies = Array.from({ length: limits.storeProbeRacers }, () => randomBytes(64));
  const put = (key: string, body: Uint8Array): Promise<PutOutcome> => store.putIfAbsent(key, body, request);
  const sequenceKey = `probe/${name}-sequence`;
  const raceKey = `probe/${name}-race`;
  try {
    const sequence: PutOutcome[] = [];
    for (const body of bodies.slice(0, 2)) sequence.push(await put(sequenceKey, body));
    if (sequence[0] === "exists") throw misbehaves(store, "a fresh key is said to exist");
    await judge(store, sequenceKey, bodies, sequence, request);
    await judge(store, raceKey, bodies, await Promise.all(bodies.map((body) => put(raceKey, body))), request);
  } finally {
    await store.delete([sequenceKey, raceKey], request);
  }
}

async function judge(
  store: ObjectStore,
  key: string,
  bodies: readonly Uint8Array[],
  outcomes: readonly PutOutcome[],
  request: { signal?: AbortSignal },
): Promise<void> {
  const winners = outcomes.flatMap((outcome, index) => (outcome === "created" ? [index] : []));
  if (winners.length > 1) throw misbehaves(store, `${winners.length} writers created the same key`);
  const open = outcomes.includes("unknown");
  const [winner] = winners;
  if (winner === undefined && !open) throw misbehaves(store, "no writer of a fresh key could create it");
  const kept = await getBytes(store, key, request);
  if (winner !== undefined) {
    const body = bodies[winner];
    if (kept === undefined || body === undefined || kept.toHex() !== body.toHex()) {
      throw misbehaves(store, "the body of the writer that created a key was replaced");
    }
  } else if (kept === undefined) {
    throw new SystemError(
      "store_unavailable",
      `Cannot probe ${store.description}: it does not answer clearly`,
      {
        hint: "Start again when the object store is well.",
      },
    );
  }
}

function misbehaves(store: ObjectStore, state: string): SystemError {
  return new SystemError("store_misbehaves", `Cannot rely on ${store.description}: ${state}`, {
    hint:
      "Use a store that honours If-None-Match on PUT. With --unsafe-no-fencing it starts all the same, " +
      "and a second writer can destroy acknowledged data.",
  });
}
