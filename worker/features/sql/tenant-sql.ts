/** SQL from outside on one tenant: every statement is compiled and judged on a copy of the schema before it runs. */
import { SystemError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import { modelOf } from "../../model/model.ts";
import { SQL_FUNCTIONS } from "../../query/functions.ts";
import { forgetSettings } from "../../pb/settings.ts";
import type { RawBounds, RawResult, SqlReader, SqlValue } from "../../sqlite/contract.ts";
import { readPool } from "../../sqlite/read-pool.ts";
import { type CompiledStatement, SchemaCopy } from "../../sqlite/schema-copy.ts";
import type { Observation, Tenant } from "../../tenant/contract.ts";
import { type SqlAccess, type StatementNature, judge, mayPragma } from "./policy.ts";

export class TenantSql {
  readonly #tenant: Tenant;
  readonly #pool = readPool();
  readonly #copy = new SchemaCopy(SQL_FUNCTIONS);

  constructor(tenant: Tenant) {
    this.#tenant = tenant;
    tenant.onReplaced(() => this.#copy.forget());
    tenant.gone.addEventListener("abort", () => this.#copy.forget(), { once: true });
  }

  /** As `db` sees the schema now: judge again when the statement runs somewhere else or later. @throws SqlRefused, CompileError */
  examine(db: SqlReader, sql: string, access: SqlAccess): StatementNature & CompiledStatement {
    const compiled = this.#copy.compile(db, sql, mayPragma);
    return { ...compiled, ...judge(sql, compiled.actions, access, this.#collections()) };
  }

  /**
   * Runs a read where it can be killed: a statement that SQLite works on for long without giving a row would hold up every
   * tenant here. Judged for exactly the schema on which it runs.
   * @throws SqlRefused, CompileError, ReadFailure, SystemError
   */
  async read(
    seen: Observation,
    sql: string,
    params: readonly SqlValue[],
    access: SqlAccess,
    bounds: Omit<RawBounds, "deadlineMs">,
  ): Promise<RawResult> {
    const { data, id } = this.#tenant;
    for (let round = 0; round < limits.sqlReadRoundsMax; round++) {
      const place = data.read(seen, (db) => {
        this.examine(db, sql, access);
        return {
          path: String(db.values("SELECT file FROM pragma_database_list WHERE name = 'main'")[0]?.[0]),
          schemaVersion: Number(db.values("PRAGMA schema_version")[0]?.[0]),
        };
      });
      const result = await this.#pool.run(id, { ...place, sql, params, bounds });
      // It may have seen newer commits than the judging.
      data.read(seen, () => undefined);
      if (result !== undefined) return result;
    }
    throw new SystemError("overloaded", "Cannot read: the schema changes all the time", {
      retryAfterMs: 1_000,
    });
  }

  /** After a rollback: a schema version may come again with another schema. */
  undone(): void {
    this.#copy.forget();
  }

  /** After a commit that may have changed collections or settings behind the model's back. */
  changed(): void {
    modelOf(this.#tenant).forgetSchema();
    forgetSettings(this.#tenant);
  }

  #collections(): ReadonlySet<string> {
    return new Set(modelOf(this.#tenant).schema.collections.map(({ name }) => name.toLowerCase()));
  }
}

const slot = { create: (tenant: Tenant): TenantSql => new TenantSql(tenant) };

export function sqlOf(tenant: Tenant): TenantSql {
  return tenant.slot(slot);
}
