import { killAll } from "../e2e/process.ts";

/**
 * Runs a benchmark to its end. What it started (by `run` of `e2e/process.ts`) ends with it, also when it fails midway or is interrupted.
 *
 * @param clean what is left to do then
 */
export async function bench(main: () => Promise<void>, clean: () => void): Promise<never> {
  // All are killed before this returns, even where nobody can wait any more.
  process.on("exit", () => {
    void killAll();
    clean();
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));
  try {
    await main();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  }
  process.exit(0);
}
