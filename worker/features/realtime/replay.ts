/** What a client missed, told under the rules as of now. */
import { quoteName } from "../../model/collections/sql-text.ts";
import type { RecordChange } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import type { SqlReader, SqlValue } from "../../sqlite/contract.ts";
import type { Observation, Tenant, WriteTransaction } from "../../tenant/contract.ts";
import type { RealtimeClient } from "./client.ts";
import { type Message, composeFrom } from "./compose.ts";
import type { Journal, NotedChange } from "./journal.ts";
import { subscribersAmong } from "./subscribers.ts";

/** Undoes everything that was put back to look at. */
class LookedAt extends Error {}

/**
 * Messages for `client` as it is subscribed now; `ready` runs in the turn in which they are complete: what is committed later is not
 * among them. @returns undefined when the journal does not reach back
 */
export async function missedMessages(
  tenant: Tenant,
  seen: Observation,
  journal: Journal,
  client: RealtimeClient,
  position: number,
  ready: () => void,
): Promise<Message[] | undefined> {
  const changes = tenant.data.read(seen, (db) => journal.since(db, position));
  if (changes?.some(({ action }) => action === "delete") !== true) {
    ready();
    return changes && tenant.data.read(seen, (db) => messagesOf(tenant, db, changes, client));
  }
  let messages: Message[] | undefined;
  try {
    // A rule can be asked of a deleted row only where it is: it is put back for the question, and never committed.
    await tenant.data.write(seen, (tx) => {
      ready();
      const all = journal.since(tx, position);
      messages = all && messagesOf(tenant, tx, all, client, tx);
      throw new LookedAt();
    });
  } catch (error) {
    if (!(error instanceof LookedAt)) throw error;
  }
  return messages;
}

/** Undefined when something cannot be told any more. */
function messagesOf(
  tenant: Tenant,
  db: SqlReader,
  changes: readonly NotedChange[],
  client: RealtimeClient,
  writer?: WriteTransaction,
): Message[] | undefined {
  const model = modelOf(tenant);
  const messages: Message[] = [];
  for (const noted of changes) {
    const collection = model.schema.find(noted.collection);
    // Deleted since, with all its records: no rule lets anybody see them.
    if (collection === undefined) continue;
    const subscribers = subscribersAmong([client], collection, noted.record);
    if (subscribers.length === 0) continue;
    const tell = (): void => {
      const record = model.find(db, collection, noted.record);
      // Deleted later: that it went is told, what it was in between is not.
      if (record === undefined) return;
      const change: RecordChange = { action: noted.action, collection, record, before: undefined };
      messages.push(...composeFrom(tenant, db, change, subscribers, noted.position));
    };
    if (noted.action !== "delete") tell();
    else if (writer === undefined || noted.row === null) return undefined;
    else if (!putBack(writer, collection.name, noted.row, tell)) return undefined;
  }
  return messages;
}

/** @returns whether the row could be put back for a moment */
function putBack(tx: WriteTransaction, table: string, text: string, look: () => void): boolean {
  const row = JSON.parse(text) as Record<string, SqlValue>;
  const known = new Set(
    tx.values("SELECT name FROM pragma_table_info(?)", [table]).map(([name]) => String(name)),
  );
  const names = Object.keys(row).filter((name) => known.has(name));
  try {
    tx.nested(() => {
      // It may have come again since, under the same id.
      tx.run(`DELETE FROM ${quoteName(table)} WHERE id = ?`, [row["id"] ?? null]);
      tx.run(
        `INSERT INTO ${quoteName(table)} (${names.map(quoteName).join(", ")}) VALUES (${names.map(() => "?").join(", ")})`,
        names.map((name) => row[name] ?? null),
      );
      look();
      throw new LookedAt();
    });
  } catch (error) {
    return error instanceof LookedAt;
  }
  return true;
}
