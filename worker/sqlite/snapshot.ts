import { Database } from "bun:sqlite";
import { SystemError } from "../../shared/errors.ts";

export interface SnapshotTask {
  from: string;
  to: string;
  /** Tables whose names begin so are not in the copy. */
  withoutTables?: string;
}

/**
 * Writes the newest commit of an open database to a new file, in a thread of its own: neither writers nor other tenants wait.
 * @throws SystemError `disk_full`, `internal` with SQLite's words, or the signal's reason
 */
export async function snapshotDatabase(task: SnapshotTask, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const thread = new Worker(new URL("./snapshot-thread.ts", import.meta.url).href);
  try {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      thread.addEventListener("message", ({ data }: MessageEvent<{ error: string | undefined }>) => {
        if (data.error === undefined) resolve();
        else reject(failed(data.error));
      });
      thread.addEventListener("error", ({ message }) => reject(failed(message)));
      thread.postMessage(task, []);
    });
  } finally {
    thread.terminate();
  }
}

/** Names of the columns of a table in a file that nobody has open; empty when it has no such table, or is no database. */
export function columnsOfFile(path: string, table: string): string[] {
  try {
    using db = new Database(path, { readonly: true, create: false });
    using statement = db.prepare("SELECT name FROM pragma_table_info(?)");
    return statement.values(table).map(([name]) => String(name));
  } catch {
    return [];
  }
}

function failed(reason: string): SystemError {
  if (reason.includes("disk is full")) {
    return new SystemError("disk_full", "Cannot take a snapshot: the worker's disk is full", {
      hint: "Free space in the worker's temporary directory; a copy of the database must fit there.",
    });
  }
  return new SystemError("internal", `Cannot take a snapshot: ${reason}`);
}
