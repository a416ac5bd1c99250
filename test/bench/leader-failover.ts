/**
 * `bun test/bench/leader-failover.ts`: three members of the raft engine as processes, default timers; their leader is killed again and
 * again. Each time: how long until a write that was called after the kill is acknowledged by any of the others.
 */
import { parseOptions } from "../../shared/options.ts";
import { startRaft } from "../chaos/raft-target.ts";
import { SystemError } from "../../shared/errors.ts";

const OPTIONS = { kills: { value: "<n>", default: "40", help: "Of leaders." } };
const P99_MS_MAX = 2_000;
const PAUSE_MS = 10;
const { values } = parseOptions(OPTIONS, process.argv.slice(2), {});

const raft = await startRaft(3, 10_000, false);
const timesMs: number[] = [];
try {
  let writes = 0;
  /** As a client does: the next member when one did nothing, the same write again when that is not known. */
  const write = async (): Promise<void> => {
    const id = `w${writes++}`;
    const txn = { id, cmp: [], then: [{ kind: "put" as const, key: `k/${writes % 100}`, value: id }] };
    for (let at = 0; ; at++) {
      try {
        await raft.stores[at % raft.stores.length]?.txn(txn);
        return;
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        await Bun.sleep(PAUSE_MS);
      }
    }
  };
  const leading = async (): Promise<string> => {
    for (;;) {
      const leader = await raft.leader();
      if (leader !== undefined) return leader;
      await Bun.sleep(PAUSE_MS);
    }
  };
  await write();
  for (let i = 0; i < Number(values.kills); i++) {
    const leader = await leading();
    raft.signal(leader, "SIGKILL");
    const startedMs = performance.now();
    await write();
    timesMs.push(performance.now() - startedMs);
    await raft.start(leader);
    await Bun.sleep(500);
    await write();
  }
} finally {
  await raft.close();
}
timesMs.sort((a, b) => a - b);
const at = (share: number): number => timesMs[Math.ceil((timesMs.length - 1) * share)] ?? 0;
console.log(
  `${timesMs.length} leaders killed, next acknowledged write: p50 ${at(0.5).toFixed(0)} ms, p99 ${at(0.99).toFixed(0)} ms, ` +
    `${(at(0.99) / P99_MS_MAX).toFixed(2)} of the ${P99_MS_MAX} ms it may be`,
);
