/** SQL from outside on one tenant: every statement is compiled and judged on a copy of the schema before it runs. */
import { modelOf } from "../../model/model.ts";
import { SQL_FUNCTIONS } from "../../query/functions.ts";
import { forgetSettings } from "../../pb/settings.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import { type CompiledStatement, SchemaCopy } from "../../sqlite/schema-copy.ts";
import type { Tenant } from "../../tenant/contract.ts";
import { type SqlAccess, type StatementNature, judge, mayPragma } from "./policy.ts";

export class TenantSql {
  readonly #tenant: Tenant;
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
