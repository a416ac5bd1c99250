/** Tokens for the SQL endpoint, made by superusers. They live in state.db, so a restore of data brings none back to life. */
import { createHash } from "node:crypto";
import { STATE_DB, randomText } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { nowText } from "../../model/fields/date-text.ts";
import { badRequest } from "../../pb/api-error.ts";
import type { SqlReader, SqlRow } from "../../sqlite/contract.ts";
import type { Observation, Tenant } from "../../tenant/contract.ts";
import type { SqlAccess } from "../../statements/policy.ts";

export interface SqlToken {
  id: string;
  name: string;
  access: "read" | "write";
  created: string;
  /** "" for one without an end. */
  expires: string;
}

const TABLE = `CREATE TABLE IF NOT EXISTS _mb_sql_tokens (
  id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, access TEXT NOT NULL,
  hash TEXT NOT NULL, created TEXT NOT NULL, expires TEXT NOT NULL
)`;
const LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";
const SHAPE = /^mbsql_([a-z0-9]{15})_([a-z0-9]{40})$/;

/** @returns the token itself too: it is shown once and only its hash is kept */
export async function createToken(
  tenant: Tenant,
  seen: Observation,
  given: Pick<SqlToken, "name" | "access" | "expires">,
): Promise<SqlToken & { token: string }> {
  const id = randomText(15, LETTERS);
  const secret = randomText(40, LETTERS);
  const made: SqlToken = { id, ...given, created: nowText() };
  await tenant.database(STATE_DB).write(seen, (tx) => {
    tx.exec(TABLE);
    const count = tx.get<{ n: number }>("SELECT count(*) AS n FROM _mb_sql_tokens")?.n ?? 0;
    if (count >= limits.sqlTokensMax)
      throw badRequest(`There are ${count} SQL tokens already: delete one first`);
    tx.run(
      "INSERT INTO _mb_sql_tokens (id, name, access, hash, created, expires) VALUES (?, ?, ?, ?, ?, ?)",
      [id, made.name, made.access, hashOf(secret), made.created, made.expires],
    );
  });
  return { ...made, token: `mbsql_${id}_${secret}` };
}

export function listTokens(tenant: Tenant, seen: Observation): SqlToken[] {
  return tenant
    .database(STATE_DB)
    .read(seen, (db) =>
      hasTable(db) ? db.all("SELECT * FROM _mb_sql_tokens ORDER BY created, id").map(toToken) : [],
    );
}

/** @returns whether there was one */
export async function deleteToken(tenant: Tenant, seen: Observation, id: string): Promise<boolean> {
  const database = tenant.database(STATE_DB);
  if (!database.read(seen, hasTable)) return false;
  return database.write(seen, (tx) => tx.run("DELETE FROM _mb_sql_tokens WHERE id = ?", [id]).changes > 0);
}

/** What a token may do; undefined for one that is unknown, wrong or past its end. */
export function accessOf(tenant: Tenant, seen: Observation, header: string | null): SqlAccess | undefined {
  const [, id, secret] = SHAPE.exec((header ?? "").replace(/^bearer /i, "")) ?? [];
  if (id === undefined || secret === undefined) return undefined;
  const row = tenant
    .database(STATE_DB)
    .read(seen, (db) =>
      hasTable(db) ? db.get("SELECT * FROM _mb_sql_tokens WHERE id = ?", [id]) : undefined,
    );
  // Hashes are compared: how long that takes tells nothing of the secret.
  if (row === undefined || row["hash"] !== hashOf(secret)) return undefined;
  const { access, expires } = toToken(row);
  return expires === "" || expires > nowText() ? access : undefined;
}

function hasTable(db: SqlReader): boolean {
  return db.values("SELECT 1 FROM sqlite_schema WHERE name = '_mb_sql_tokens'").length > 0;
}

function toToken(row: SqlRow): SqlToken {
  return {
    id: String(row["id"]),
    name: String(row["name"]),
    access: row["access"] === "write" ? "write" : "read",
    created: String(row["created"]),
    expires: String(row["expires"]),
  };
}

const hashOf = (secret: string): string => createHash("sha256").update(secret).digest("hex");
