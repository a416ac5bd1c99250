/** A process that runs one read after another for read-pool.ts, which kills it when one takes too long. */
import type { RawBounds, RawResult, SqlValue } from "./contract.ts";
import { openReader } from "./open.ts";

export interface ReadRequest {
  path: string;
  sql: string;
  params: readonly SqlValue[];
  bounds: Omit<RawBounds, "deadlineMs">;
  /** The statement was judged for this schema: with another it is not run. */
  schemaVersion: number;
}

export type ReadAnswer =
  | { result: RawResult }
  | { schemaChanged: true }
  | { error: { message: string; errno: number; code: string } };

function answer({ path, sql, params, bounds, schemaVersion }: ReadRequest): ReadAnswer {
  const connection = openReader(path);
  try {
    // One snapshot for the check and the statement.
    connection.exec("BEGIN");
    if (connection.values("PRAGMA schema_version")[0]?.[0] !== schemaVersion) return { schemaChanged: true };
    const result = connection.raw(sql, params, { ...bounds, deadlineMs: Number.POSITIVE_INFINITY });
    return { result };
  } finally {
    connection.close();
  }
}

function toError(error: unknown): ReadAnswer {
  const { message, errno, code } = error as { message?: string; errno?: number; code?: string };
  return { error: { message: message ?? String(error), errno: errno ?? 1, code: code ?? "SQLITE_ERROR" } };
}

process.on("message", (request: ReadRequest) => {
  let sent: ReadAnswer;
  try {
    sent = answer(request);
  } catch (error) {
    sent = toError(error);
  }
  process.send?.(sent);
});
void new Worker(new URL("./read-watchdog.ts", import.meta.url).href);
process.send?.("ready");
// Whoever started it is gone.
process.on("disconnect", () => process.exit(0));
