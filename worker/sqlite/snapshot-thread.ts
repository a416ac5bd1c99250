/** The thread of one snapshot: gets `{from, to}`, answers `{error?}`. The same SQLite as the process's own, so its file locks hold. */
import { Database } from "bun:sqlite";

declare const self: Worker;

self.addEventListener("message", ({ data }: MessageEvent<{ from: string; to: string }>) => {
  let error: string | undefined;
  try {
    using db = new Database(data.from, { readonly: true });
    db.run("PRAGMA wal_autocheckpoint=0");
    db.run("PRAGMA busy_timeout=10000");
    db.run("VACUUM INTO ?", [data.to]);
  } catch (cause) {
    error = cause instanceof Error ? cause.message : String(cause);
  }
  self.postMessage({ error }, []);
});
