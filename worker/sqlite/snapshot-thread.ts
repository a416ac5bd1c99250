/** The thread of one snapshot: gets a `SnapshotTask`, answers `{error?}`. The same SQLite as the process's own, so its file locks hold. */
import { Database } from "bun:sqlite";
import type { SnapshotTask } from "./snapshot.ts";

declare const self: Worker;

self.addEventListener("message", ({ data }: MessageEvent<SnapshotTask>) => {
  let error: string | undefined;
  try {
    copy(data);
    if (data.withoutTables !== undefined) dropTables(data.to, data.withoutTables);
  } catch (cause) {
    error = cause instanceof Error ? cause.message : String(cause);
  }
  self.postMessage({ error }, []);
});

function copy({ from, to }: SnapshotTask): void {
  using db = new Database(from, { readonly: true });
  db.run("PRAGMA wal_autocheckpoint=0");
  db.run("PRAGMA busy_timeout=10000");
  db.run("VACUUM INTO ?", [to]);
}

/** What they held is overwritten, too: nobody can read it from the file's free pages. */
function dropTables(path: string, prefix: string): void {
  using db = new Database(path, { readwrite: true });
  db.run("PRAGMA journal_mode=OFF");
  db.run("PRAGMA secure_delete=ON");
  using names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, ?) = ?");
  for (const [name] of names.values(prefix.length, prefix)) {
    db.run(`DROP TABLE "${String(name).replaceAll('"', '""')}"`);
  }
}
