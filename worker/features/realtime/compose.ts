/** What each subscriber is told of one change, after its rules. Equal questions are asked once per change. */
import type { RecordChange } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { marshalGo } from "../../pb/go-json.ts";
import { UnusableFields, pickFields } from "../../pb/pick-fields.ts";
import { requestAuth } from "../../pb/request-info.ts";
import { enrichRecord } from "../../pb/records/enrich.ts";
import { meetsClientFilter, meetsRule } from "../../pb/records/rules.ts";
import { type RecordScope, recordScope } from "../../pb/records/scope.ts";
import type { RequestInfo } from "../../query/contract.ts";
import { SUPERUSERS } from "../../auth/tokens.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import type { Tenant } from "../../tenant/contract.ts";
import type { RealtimeClient } from "./client.ts";
import type { Subscriber } from "./subscribers.ts";
import type { Topic } from "./topic.ts";

export interface Message {
  client: RealtimeClient;
  event: string;
  data: string;
  /** In the journal, where this brings the client; 0: nowhere. */
  position: number;
}

/** Reads what is committed: call it after the commit of a create or update, before that of a delete. */
export function composeMessages(
  tenant: Tenant,
  change: RecordChange,
  subscribers: readonly Subscriber[],
  position: number,
): Message[] {
  return tenant.data.read(tenant.observe(), (db) => composeFrom(tenant, db, change, subscribers, position));
}

/** As `composeMessages`, of what `db` sees. */
export function composeFrom(
  tenant: Tenant,
  db: SqlReader,
  change: RecordChange,
  subscribers: readonly Subscriber[],
  position: number,
): Message[] {
  const model = modelOf(tenant);
  const composed = new Map<string, string | undefined>();
  const messages: Message[] = [];
  const newest = new Map<RealtimeClient, Message>();
  for (const { client, topic, kind } of subscribers) {
    const key = `${kind} ${identity(client, topic, change, kind)} ${topic.rawOptions}`;
    let data = composed.get(key);
    if (data === undefined && !composed.has(key)) {
      data = compose(recordScope(db, model, infoOf(client, topic)), change, kind);
      composed.set(key, data);
    }
    if (data === undefined) continue;
    const message = { client, event: topic.name, data, position };
    const before = newest.get(client);
    // Who has heard of a change by one topic only has not come past it.
    if (before !== undefined) before.position = 0;
    newest.set(client, message);
    messages.push(message);
  }
  return messages;
}

/**
 * Equal for all whose answer cannot differ. Superusers see more than others; in auth collections and in what is expanded it matters
 * who asks, whatever the rule of this collection says.
 */
function identity(
  client: RealtimeClient,
  topic: Topic,
  { collection }: RecordChange,
  kind: "list" | "view",
): string {
  const auth = client.auth?.record;
  if (auth?.collection.name === SUPERUSERS) return "superuser";
  const rule = (kind === "list" ? collection.listRule : collection.viewRule) ?? "";
  const { expand = "", filter = "" } = topic.query;
  const isAnybodys =
    collection.type !== "auth" &&
    expand === "" &&
    !/@request\.auth/i.test(rule) &&
    !/@request\.auth/i.test(filter);
  if (isAnybodys) return "anybody";
  return auth === undefined ? "guest" : `${auth.collection.id}/${auth.id}`;
}

function infoOf(client: RealtimeClient, topic: Topic): RequestInfo {
  const record = client.auth?.record;
  return {
    context: "realtime",
    method: "GET",
    headers: topic.headers,
    query: topic.query,
    body: {},
    auth: record === undefined ? null : requestAuth({ record, collection: record.collection }),
  };
}

/** Undefined when the subscriber may not know. */
function compose(scope: RecordScope, change: RecordChange, kind: "list" | "view"): string | undefined {
  const { record, action, collection } = change;
  const { query } = scope.info;
  if (!meetsRule(scope, record, kind === "list" ? collection.listRule : collection.viewRule))
    return undefined;
  if (!meetsClientFilter(scope, record, query["filter"] ?? "")) return undefined;
  const json = enrichRecord(scope, record, query["expand"]);
  const fields = query["fields"] ?? "";
  return marshalGo({ record: fields === "" ? json : picked(json, fields), action });
}

/** Fields that cannot be used are as good as none: what one client asks for is no other's trouble. */
function picked(json: unknown, fields: string): unknown {
  try {
    return pickFields(json, fields);
  } catch (error) {
    if (error instanceof UnusableFields) return json;
    throw error;
  }
}
