import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const RUN_MS_MAX = 20_000;
/** The program itself: the package's own command only starts it, and would leave it behind. */
const LITESTREAM = createRequire(import.meta.url).resolve(
  `@flydotio/litestream-${process.platform}-${process.arch}/litestream`,
);

/** The real Litestream 0.3 restores the newest state of a file replica; returns its log. */
export async function restoreByLitestream(replica: string, target: string): Promise<string> {
  const child = Bun.spawn([LITESTREAM, "restore", "-o", target, `file://${replica}`], {
    stdout: "pipe",
    stderr: "pipe",
    timeout: RUN_MS_MAX,
    killSignal: "SIGKILL",
  });
  const [output, errors, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (status !== 0) throw new Error(`Cannot restore by Litestream: status ${status}\n${output}\n${errors}`);
  return output + errors;
}

/**
 * The real Litestream 0.3 replicates `database` to `replica` while `write` runs, checkpointing often so that there is more than
 * one WAL; it has everything when this resolves.
 */
export async function replicateByLitestream(
  database: string,
  replica: string,
  write: (synced: () => Promise<void>) => Promise<void>,
): Promise<void> {
  mkdirSync(replica, { recursive: true });
  const config = join(replica, "..", "litestream.yml");
  const settings = { path: database, "monitor-interval": "20ms", "min-checkpoint-page-count": 20 };
  const target = { type: "file", path: replica, "sync-interval": "20ms" };
  writeFileSync(config, JSON.stringify({ dbs: [{ ...settings, replicas: [target] }] }));
  const child = Bun.spawn([LITESTREAM, "replicate", "-config", config], {
    stdout: "ignore",
    stderr: "pipe",
    timeout: RUN_MS_MAX,
    killSignal: "SIGKILL",
  });
  try {
    // It looks every 20 ms: what is older than some of these is in the replica.
    await write(() => Bun.sleep(150));
    await Bun.sleep(300);
  } finally {
    child.kill("SIGINT");
    await child.exited;
  }
  if (child.exitCode !== 0) throw new Error(`Cannot replicate: ${await new Response(child.stderr).text()}`);
}
