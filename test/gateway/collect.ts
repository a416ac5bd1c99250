/** Loaded before a gateway's own program: collects garbage at each SIGUSR2 and says what the process has then. For tests of memory. */
interface Collecting {
  Bun?: { gc: (force: boolean) => void };
  gc?: () => void;
}

function collect(): void {
  const runtime: Collecting = globalThis as Collecting;
  if (runtime.Bun === undefined) runtime.gc?.();
  else runtime.Bun.gc(true);
}

process.on("SIGUSR2", () => {
  collect();
  // What the first run made unreachable by finalizers goes with the second one.
  setTimeout(() => {
    collect();
    const { rss, heapUsed, external } = process.memoryUsage();
    console.log(`collected ${rss} bytes, heap ${heapUsed}, external ${external}`);
  }, 200);
});
