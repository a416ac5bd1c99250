import { Database, SQLiteError } from "bun:sqlite";
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
    throw new UserError("invalid_import", `Cannot import ${name}: ${error.message}`, {
      cause: error,
      hint: "The file must be a SQLite database without encryption.",
    });
  } finally {
    db?.close();
  }
}
