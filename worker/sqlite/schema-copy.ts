import { DatabaseSync, constants } from "node:sqlite";
import type { SqlReader } from "./contract.ts";
import type { SqlFunction } from "./sql-function.ts";

/** One thing that a statement would do, as SQLite's authorizer tells it: its action code and up to four names. */
export interface SqlAction {
  code: number;
  first: string | null;
  second: string | null;
  /** `main`, or `temp` for what only this connection would have. */
  schema: string | null;
  /** The trigger or view on whose behalf it happens. */
  inside: string | null;
}

/** What a statement was found to be when it was compiled. */
export interface CompiledStatement {
  actions: readonly SqlAction[];
  columns: { name: string; declaredType: string | null }[];
}

/** SQLite's words for a statement that does not compile, or a PRAGMA that was not even looked at. */
export class CompileError extends Error {
  override readonly name = "SQLiteError";
  readonly errno: number;
  constructor(message: string, errno: number, cause?: unknown) {
    super(message, { cause });
    this.errno = errno;
  }
}

const COPY_ORDER = ["table", "index", "view", "trigger"];

/**
 * The schema of a database, empty, in memory: statements are compiled on it with SQLite's authorizer, which bun:sqlite lacks,
 * and nothing of the tenant's files is opened for that. Nothing is ever run on it but the schema itself.
 */
export class SchemaCopy {
  readonly #functions: readonly SqlFunction[];
  #db: DatabaseSync | undefined;
  #version: unknown;
  #text = "";

  constructor(functions: readonly SqlFunction[]) {
    this.#functions = functions;
  }

  /** Call it when a schema change was undone, or for another file: the version number may come again with other content. */
  forget(): void {
    this.#version = undefined;
  }

  /**
   * Compiles the first statement of `sql` as `db` would now.
   * @param mayPragma - whether this PRAGMA may be compiled: some act while they are
   * @throws CompileError
   */
  compile(
    db: SqlReader,
    sql: string,
    mayPragma: (name: string, argument: string | null) => boolean,
  ): CompiledStatement {
    const copy = this.#current(db);
    const heard: SqlAction[] = [];
    let refused: string | undefined;
    copy.setAuthorizer((code, first, second, schema, inside) => {
      heard.push({ code, first, second, schema, inside });
      if (code !== constants.SQLITE_PRAGMA || mayPragma(first ?? "", second)) return constants.SQLITE_OK;
      refused = first ?? "";
      return constants.SQLITE_DENY;
    });
    try {
      const columns = copy
        .prepare(sql)
        .columns()
        .map(({ name, type }) => ({ name, declaredType: type }));
      return { actions: heard, columns };
    } catch (cause) {
      if (refused !== undefined) throw new CompileError(`PRAGMA ${refused} is not allowed here`, 23, cause);
      const { message, errcode } = cause as Error & { errcode?: number };
      throw new CompileError(message, errcode ?? 1, cause);
    } finally {
      copy.setAuthorizer(null);
    }
  }

  #current(db: SqlReader): DatabaseSync {
    const version = db.values("PRAGMA schema_version")[0]?.[0];
    if (this.#db !== undefined && this.#version === version) return this.#db;
    const rows = db.all<{ type: string; name: string; sql: string }>(
      "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL",
    );
    const text = JSON.stringify(rows);
    this.#version = version;
    if (this.#db !== undefined && this.#text === text) return this.#db;
    this.#db?.close();
    const copy = new DatabaseSync(":memory:", { enableForeignKeyConstraints: false });
    for (const { name, deterministic = true, varargs = false, call } of this.#functions) {
      copy.function(name, { deterministic, varargs }, call as never);
    }
    for (const type of COPY_ORDER) {
      for (const row of rows) {
        if (row.type === type) copyObject(copy, row.name, row.sql);
      }
    }
    this.#db = copy;
    this.#text = text;
    return copy;
  }
}

/** What cannot be made here is unknown to statements that name it: they do not compile, so they do not run. */
function copyObject(copy: DatabaseSync, name: string, sql: string): void {
  try {
    if (name === "sqlite_stat1") copy.exec("ANALYZE");
    // Prepared, not executed as a script: an imported file may hold more than one statement here.
    else copy.prepare(sql).run();
  } catch {
    // Tables that come with another object (of a full-text index, sqlite_sequence) are there already.
  }
}
