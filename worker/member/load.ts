import { availableParallelism, totalmem } from "node:os";

/** What a worker tells control of itself with each beat, for placement. */
export interface OwnLoad {
  rssBytes: number;
  memoryBytes: number;
  busyRatio: number;
}

/** Measures this process: its memory, its share of the machine's (one worker runs per core), and how busy it was since the last call. */
export function loadMeter(): () => OwnLoad {
  const constrained = process.constrainedMemory();
  const machineBytes = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  const memoryBytes = Math.floor(machineBytes / availableParallelism());
  let cpu = process.cpuUsage();
  let atMs = performance.now();
  let busyRatio = 0;
  return () => {
    const nowMs = performance.now();
    // Two calls in one moment would measure nothing.
    if (nowMs - atMs >= 100) {
      const used = process.cpuUsage(cpu);
      busyRatio = Math.min(1, (used.user + used.system) / 1000 / (nowMs - atMs));
      cpu = process.cpuUsage();
      atMs = nowMs;
    }
    return { rssBytes: process.memoryUsage.rss(), memoryBytes, busyRatio };
  };
}
