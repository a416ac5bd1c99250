/** The first thing that happens to a tenant's data.db: an empty one becomes PocketBase's, an imported one is brought up to date. */
import { UserError } from "../../shared/errors.ts";
import type { SqlReader } from "../sqlite/contract.ts";
import type { WriteTransaction } from "../tenant/contract.ts";
import { makeSchema } from "./collections/schema.ts";
import { SchemaState } from "./collections/state.ts";
import { insertCollection, loadCollections } from "./collections/stored.ts";
import { createTable } from "./collections/table.ts";
import { refreshViews } from "./collections/views.ts";
import type { Bootstrap } from "./contract.ts";
import { newTenantSettings } from "./default-settings.ts";
import { nowText } from "./fields/date-text.ts";
import { modelOf } from "./model.ts";
import { systemCollections } from "./system-collections.ts";
import { MIGRATIONS, upgrade } from "./upgrade.ts";

const TABLES = `
CREATE TABLE IF NOT EXISTS \`_migrations\` (file VARCHAR(255) PRIMARY KEY NOT NULL, applied INTEGER NOT NULL);
CREATE TABLE \`_params\` (
  \`id\`      TEXT PRIMARY KEY DEFAULT ('r'||lower(hex(randomblob(7)))) NOT NULL,
  \`value\`   JSON DEFAULT NULL,
  \`created\` TEXT DEFAULT (strftime('%Y-%m-%d %H:%M:%fZ')) NOT NULL,
  \`updated\` TEXT DEFAULT (strftime('%Y-%m-%d %H:%M:%fZ')) NOT NULL
);
CREATE TABLE \`_collections\` (
  \`id\`         TEXT PRIMARY KEY DEFAULT ('r'||lower(hex(randomblob(7)))) NOT NULL,
  \`system\`     BOOLEAN DEFAULT FALSE NOT NULL,
  \`type\`       TEXT DEFAULT "base" NOT NULL,
  \`name\`       TEXT UNIQUE NOT NULL,
  \`fields\`     JSON DEFAULT "[]" NOT NULL,
  \`indexes\`    JSON DEFAULT "[]" NOT NULL,
  \`listRule\`   TEXT DEFAULT NULL,
  \`viewRule\`   TEXT DEFAULT NULL,
  \`createRule\` TEXT DEFAULT NULL,
  \`updateRule\` TEXT DEFAULT NULL,
  \`deleteRule\` TEXT DEFAULT NULL,
  \`options\`    JSON DEFAULT "{}" NOT NULL,
  \`created\`    TEXT DEFAULT (strftime('%Y-%m-%d %H:%M:%fZ')) NOT NULL,
  \`updated\`    TEXT DEFAULT (strftime('%Y-%m-%d %H:%M:%fZ')) NOT NULL
);
CREATE INDEX IF NOT EXISTS idx__collections_type on \`_collections\` (\`type\`);
`;

type Content = "current" | "older" | "empty";

export const bootstrap: Bootstrap = async (tenant) => {
  const seen = tenant.observe();
  if (tenant.data.read(seen, contentOf) === "current") return;
  await tenant.data.write(seen, (tx) => {
    const content = contentOf(tx);
    if (content === "empty") create(tx);
    else if (content === "older") upgrade(tx, (within) => refreshAll(within, new SchemaState(tenant)));
  });
  modelOf(tenant).forgetSchema();
};

function refreshAll(tx: WriteTransaction, state: SchemaState): void {
  state.change(tx, makeSchema(loadCollections(tx)));
  try {
    state.nested(tx, () => refreshViews(tx, state));
  } catch {
    // A view that does not work stays as it is, so that its query can be corrected.
  }
}

/** @throws UserError `invalid_import` for data of PocketBase before 0.23, or of something else */
function contentOf(db: SqlReader): Content {
  const columns = new Set(
    db.values("SELECT name FROM pragma_table_info('_collections')").map(([name]) => name),
  );
  if (columns.size === 0) {
    const tables = db.values(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' LIMIT 1",
    );
    if (tables.length === 0) return "empty";
    throw new UserError("invalid_import", "Cannot open data.db: it has tables but no collections", {
      hint: "Import a data directory that PocketBase 0.23 or later has written.",
    });
  }
  if (!columns.has("fields")) {
    throw new UserError("invalid_import", "Cannot open data.db: it is of PocketBase before 0.23", {
      hint: "Start a PocketBase of 0.23 or later on a copy of the directory once; it upgrades the data.",
    });
  }
  const applied = db.values(
    "SELECT count(*) FROM _migrations WHERE file IN (SELECT value FROM json_each(?))",
    [JSON.stringify(MIGRATIONS)],
  );
  return applied[0]?.[0] === MIGRATIONS.length ? "current" : "older";
}

function create(tx: WriteTransaction): void {
  tx.exec(TABLES);
  for (const collection of systemCollections()) {
    insertCollection(tx, collection);
    createTable(tx, collection);
  }
  const now = nowText();
  tx.run("INSERT INTO `_params` (id, value, created, updated) VALUES ('settings', ?, ?, ?)", [
    new TextEncoder().encode(JSON.stringify(newTenantSettings)),
    now,
    now,
  ]);
  const appliedUs = Date.now() * 1_000;
  MIGRATIONS.forEach((file, index) => {
    tx.run("INSERT OR IGNORE INTO `_migrations` (file, applied) VALUES (?, ?)", [file, appliedUs + index]);
  });
}
