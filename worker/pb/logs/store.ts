/** The table of a tenant's logs, in auxiliary.db, as PocketBase has it there. */
import { randomText } from "../../../shared/ids.ts";
import { dateText } from "../../model/fields/date-text.ts";
import { sortedKeys } from "../go-json.ts";
import type { SqlReader, SqlRow, SqlValue } from "../../sqlite/contract.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";

export const LOG_LEVELS = { debug: -4, info: 0, warn: 4, error: 8 } as const;

export interface LogEntry {
  timeMs: number;
  level: number;
  message: string;
  data: Record<string, unknown>;
}

const TABLES = `
CREATE TABLE IF NOT EXISTS \`_logs\` (
  \`id\`      TEXT PRIMARY KEY DEFAULT ('r'||lower(hex(randomblob(7)))) NOT NULL,
  \`level\`   INTEGER DEFAULT 0 NOT NULL,
  \`message\` TEXT DEFAULT "" NOT NULL,
  \`data\`    JSON DEFAULT "{}" NOT NULL,
  \`created\` TEXT DEFAULT (strftime('%Y-%m-%d %H:%M:%fZ')) NOT NULL
);
CREATE INDEX IF NOT EXISTS idx_logs_level on \`_logs\` (\`level\`);
CREATE INDEX IF NOT EXISTS idx_logs_message on \`_logs\` (\`message\`);
CREATE INDEX IF NOT EXISTS idx_logs_created_hour on \`_logs\` (strftime('%Y-%m-%d %H:00:00', \`created\`));
`;

/** Of one statement: a call of SQLite costs as much as a row. */
const ROWS = 20;
const insertOf = (rows: number): string =>
  `INSERT INTO \`_logs\` (id, level, message, data, created) VALUES ${Array(rows).fill("(?, ?, ?, ?, ?)").join(", ")}`;
const INSERT_ROWS = insertOf(ROWS);

/** The data's keys are in the order that clients see. */
export function insertRows(tx: WriteTransaction, entries: readonly LogEntry[]): void {
  if (!hasLogs(tx)) tx.exec(TABLES);
  const newId = idsOfBatch();
  for (let start = 0; start < entries.length; start += ROWS) {
    const rows = entries.slice(start, start + ROWS);
    const params: SqlValue[] = [];
    for (const [index, { timeMs, level, message, data }] of rows.entries()) {
      const created = dateText(new Date(timeMs));
      params.push(newId(timeMs, start + index), level, message, JSON.stringify(data), created);
    }
    tx.run(rows.length === ROWS ? INSERT_ROWS : insertOf(rows.length), params);
  }
}

/**
 * PocketBase's 15 letters and digits, but in the order of time: a batch changes few pages of the index, each page is replicated. Random
 * once per batch, whose entries are counted.
 */
function idsOfBatch(): (timeMs: number, index: number) => string {
  const batch = randomText(4, LETTERS);
  return (timeMs, index) =>
    timeMs.toString(36).padStart(8, "0").slice(-8) + batch + index.toString(36).padStart(3, "0");
}
const LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";

export function hasLogs(db: SqlReader): boolean {
  return db.values("SELECT 1 FROM sqlite_schema WHERE name = '_logs'").length > 0;
}

/** In the key order that clients see. */
export function logToJson(row: SqlRow): Record<string, unknown> {
  return {
    id: row["id"],
    created: row["created"],
    data: parseData(row["data"]),
    message: row["message"],
    level: row["level"],
  };
}

function parseData(text: unknown): unknown {
  try {
    return sortedKeys(JSON.parse(String(text)));
  } catch {
    return {};
  }
}
