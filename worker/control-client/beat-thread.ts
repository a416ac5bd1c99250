/** The thread that beats: started by beats.ts. It holds nothing of tenants and does nothing else. */
import { parentPort, workerData } from "node:worker_threads";
import { parseLogSeq } from "../../shared/ids.ts";
import { type Keyring, LiveKeyring } from "../../shared/protocol/keys.ts";
import { limits } from "../../shared/limits.ts";
import { createLog } from "../log.ts";
import { loadMeter } from "../member/load.ts";
import type { BeatThreadData } from "./beats.ts";
import { ControlClient } from "./control-client.ts";
import { Lease } from "./lease.ts";
import { sharedFacts } from "./shared-facts.ts";

await beat(workerData as BeatThreadData);
// A port that is listened to would keep the thread, whose end tells the main thread.
parentPort?.close();

/** Beats until control says that it is over, or the main thread ends this one. */
async function beat({ memory, url, keys, incarnation, leaseMs, beatMs }: BeatThreadData): Promise<void> {
  const facts = sharedFacts(memory);
  const now = mainClock(facts.tickMs);
  const lease = new Lease(now, facts.leaseUntilMs);
  const ring = new LiveKeyring(keys);
  parentPort?.on("message", (next: Keyring) => ring.replace(next));
  const control = new ControlClient({ url, keys: ring, timeoutMs: leaseMs });
  const load = loadMeter();
  const log = createLog("lease");
  while (facts.dead[0] !== 1) {
    const sentMs = now();
    if (sentMs - (facts.tickMs[0] ?? 0) < limits.mainThreadStallMsMax) {
      try {
        const answer = await control.beat(incarnation, {
          seq: parseLogSeq(facts.durableSeq[0]),
          tenants: facts.tenants[0] ?? 0,
          ...load(),
          draining: facts.draining[0] === 1,
        });
        if (answer.state === "dead") facts.dead[0] = 1;
        else lease.renew(sentMs, answer.leaseMs);
        // Control looked at its clock somewhere between: a slow answer tells too little.
        const tookMs = now() - sentMs;
        if (answer.nowMs !== undefined && tookMs < beatMs)
          facts.skewMs[0] = Date.now() - tookMs / 2 - answer.nowMs;
      } catch (error) {
        log.warn({ incarnation, error: String(error) }, "beat not acknowledged");
      }
    }
    await Bun.sleep(Math.max(0, beatMs - (now() - sentMs)));
  }
}

/**
 * The main thread's clock as far as this thread can know: the two have different origins. Each tick that is seen is a lower bound, so this
 * is never ahead of the true one, and a lease that counts from it never ends too late.
 */
function mainClock(tickMs: Float64Array): () => number {
  let offsetMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = performance.now();
    offsetMs = Math.max(offsetMs, (tickMs[0] ?? 0) - nowMs);
    return nowMs + offsetMs;
  };
}
