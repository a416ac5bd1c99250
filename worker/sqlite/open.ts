import { Database } from "bun:sqlite";
import { limits } from "../../shared/limits.ts";
import { Connection } from "./connection.ts";
import type { SqlFunction } from "./sql-function.ts";

export interface OpenOptions {
  functions?: readonly SqlFunction[];
}

/**
 * The one connection that writes. Object storage is the truth, so `synchronous=OFF`; checkpoints are the capture's, so never
 * automatic. Creates the file when it is not there; leaves the `-wal` file in place, so that capture can open it.
 */
export function openWriter(path: string, options: OpenOptions = {}): Connection {
  const connection = openResting(path, options);
  wake(connection);
  return connection;
}

/**
 * A writer that has only its database file open, one descriptor, and has read nothing of it: the WAL and its index, two more, come
 * with the first statement. That must be `wake`.
 */
export function openResting(path: string, options: OpenOptions = {}): Connection {
  return open(path, new Database(path, { create: true, readwrite: true }), options);
}

export function wake(writer: Connection): void {
  writer.exec("PRAGMA journal_mode=WAL");
  writer.exec("PRAGMA synchronous=OFF");
  // Also the first read after the switch to WAL, which creates the -wal file.
  writer.shrink();
}

/** The read-only connection beside a writer: sees the newest commit, never an open transaction. */
export function openReader(path: string, options: OpenOptions = {}): Connection {
  const connection = open(path, new Database(path, { readonly: true }), options);
  connection.exec("PRAGMA query_only=ON");
  connection.shrink();
  return connection;
}

/** Only what SQLite does without a look into the file. */
function open(path: string, db: Database, options: OpenOptions): Connection {
  const connection = new Connection(path, db);
  // Per connection, and 1000 by default: one forgotten connection would checkpoint uncaptured frames away.
  connection.exec("PRAGMA wal_autocheckpoint=0");
  connection.exec(`PRAGMA busy_timeout=${limits.sqliteBusyMs}`);
  connection.exec("PRAGMA temp_store=MEMORY");
  connection.exec("PRAGMA foreign_keys=ON");
  for (const { name, deterministic = true, varargs = false, call } of options.functions ?? []) {
    db.function(name, { deterministic, varargs }, call);
  }
  return connection;
}
