import { fileURLToPath } from "node:url";

const CHILD = fileURLToPath(new URL("litestream-vfs-child.ts", import.meta.url));
const CHILD_MS_MAX = 30_000;

/** The stock Litestream VFS, in a process of its own because it takes its settings from the environment when it is loaded. */
async function run(
  url: string,
  action: { kind: "hydrate" | "write"; sql: string },
  environment: Record<string, string>,
): Promise<string> {
  const child = Bun.spawn([process.execPath, CHILD, JSON.stringify(action)], {
    env: { PATH: process.env["PATH"] ?? "", LITESTREAM_REPLICA_URL: url, ...environment },
    stdout: "pipe",
    stderr: "pipe",
    timeout: CHILD_MS_MAX,
    killSignal: "SIGKILL",
  });
  const [output, errors, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (status !== 0) throw new Error(`Cannot run the Litestream VFS: status ${status}\n${output}\n${errors}`);
  return output;
}

/** Has stock Litestream write the whole database of a tree to `target`; returns the rows of `sql` as it reads them, as JSON lines. */
export async function hydrate(tree: string, target: string, sql = "SELECT 1"): Promise<string[]> {
  return hydrateFrom(`file://${tree}`, target, { sql });
}

/** As `hydrate`, from any place that stock Litestream knows. */
export async function hydrateFrom(
  url: string,
  target: string,
  { sql = "SELECT 1", environment = {} }: { sql?: string; environment?: Record<string, string> } = {},
): Promise<string[]> {
  const output = await run(
    url,
    { kind: "hydrate", sql },
    {
      ...environment,
      LITESTREAM_HYDRATION_ENABLED: "true",
      LITESTREAM_HYDRATION_PATH: target,
      LITESTREAM_LOG_LEVEL: "DEBUG",
      LITESTREAM_LOG_FILE: `${target}.log`,
    },
  );
  return output.split("\n").filter((line) => line.startsWith("{"));
}

/**
 * Has stock Litestream execute and upload each statement as a transaction, so that it writes LTX files of level 0. Each in a process
 * of its own: 0.5.17 reads a database that it has just created as malformed until it is opened again.
 */
export async function writeByLitestream(
  tree: string,
  buffer: string,
  statements: readonly string[],
): Promise<void> {
  for (const sql of statements) {
    await run(
      `file://${tree}`,
      { kind: "write", sql },
      { LITESTREAM_WRITE_ENABLED: "true", LITESTREAM_SYNC_INTERVAL: "20ms", LITESTREAM_BUFFER_PATH: buffer },
    );
  }
}
