import { Database, SQLiteError } from "bun:sqlite";
import { closeSync, openSync, readSync } from "node:fs";
import { UserError } from "../../shared/errors.ts";
import { asSystemError } from "./connection.ts";

/**
 * Makes a SQLite file from anywhere (a copy of it: the file is changed) fit to be a tenant's database: a leftover journal or WAL
 * beside it is folded in, the whole is checked, the header says WAL.
 *
 * @throws UserError `invalid_import` when it is not an intact SQLite database
 */
export function adoptDatabaseFile(path: string, name: string): void {
  let db: Database | undefined;
  try {
    db = new Database(path, { create: false, readwrite: true });
    using check = db.prepare("PRAGMA quick_check(10)");
    const problems = check.values().flat();
    if (problems.length !== 1 || problems[0] !== "ok") {
      throw new UserError("invalid_import", `Cannot import ${name}: the file is damaged`, {
        hint: "Copy the database again while PocketBase is stopped, or take it from a PocketBase backup.",
        details: { problems: problems.map(String) },
      });
    }
    check.finalize();
    // Folding in happens when this only connection closes.
    db.run("PRAGMA journal_mode=WAL");
  } catch (error) {
    if (!(error instanceof SQLiteError) || error.code === "SQLITE_FULL") {
      throw asSystemError(error, `import ${name}`);
    }
    throw unreadable(name, error);
  } finally {
    db?.close();
  }
}

/**
 * Refuses what is no data.db of PocketBase 0.23 or later, before it takes anything's place. The file is a copy: a leftover
 * journal or WAL beside it is folded in.
 *
 * @throws UserError `invalid_import`
 */
export function checkPocketBaseFile(path: string, name: string): void {
  if (!isSqlite(path)) {
    throw new UserError("invalid_import", `Cannot import ${name}: it is not a SQLite database`, {
      hint: "If it is encrypted, decrypt it first; else copy it again while PocketBase is stopped.",
    });
  }
  let columns: string[];
  try {
    using db = new Database(path, { create: false, readwrite: true });
    using statement = db.prepare("SELECT name FROM pragma_table_info('_collections')");
    columns = statement.values().map(([column]) => String(column));
  } catch (error) {
    if (!(error instanceof SQLiteError) || error.code === "SQLITE_FULL") {
      throw asSystemError(error, `import ${name}`);
    }
    throw unreadable(name, error);
  }
  if (columns.length === 0) {
    throw new UserError("invalid_import", `Cannot import ${name}: it has no table _collections`, {
      hint: "Give the pb_data directory of a PocketBase 0.23 or later; other SQLite files are no tenants.",
    });
  }
  if (!columns.includes("fields")) {
    throw new UserError("invalid_import", `Cannot import ${name}: it is of PocketBase before 0.23`, {
      hint: "Start a PocketBase of 0.23 or later on a copy of the directory once: it upgrades the data. Then import that copy.",
    });
  }
}

function unreadable(name: string, error: SQLiteError): UserError {
  return new UserError("invalid_import", `Cannot import ${name}: ${error.message}`, {
    cause: error,
    hint: "The file is damaged. Copy it again while PocketBase is stopped, or take it from a PocketBase backup.",
  });
}

function isSqlite(path: string): boolean {
  const fd = openSync(path, "r");
  try {
    const head = Buffer.alloc(16);
    readSync(fd, head, 0, head.length, 0);
    return head.equals(Buffer.from("SQLite format 3\0"));
  } finally {
    closeSync(fd);
  }
}
