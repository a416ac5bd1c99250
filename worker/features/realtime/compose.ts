/** What each subscriber is told of one change, after its rules. Equal questions are asked once per change. */
import type { RecordChange } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { marshalGo } from "../../pb/go-json.ts";
import { pickFields } from "../../pb/pick-fields.ts";
import { requestAuth } from "../../pb/request-info.ts";
import { enrichRecord } from "../../pb/records/enrich.ts";
import { meetsClientFilter, meetsRule } from "../../pb/records/rules.ts";
import { type RecordScope, recordScope } from "../../pb/records/scope.ts";
import type { RequestInfo } from "../../query/contract.ts";
import type { Tenant } from "../../tenant/contract.ts";
import type { RealtimeClient } from "./client.ts";
import type { Topic } from "./topic.ts";

export interface Subscriber {
  client: RealtimeClient;
  topic: Topic;
  /** Which rule of the collection guards the topic. */
  kind: "list" | "view";
}

export interface Message {
  client: RealtimeClient;
  event: string;
  data: string;
}

/** Reads what is committed: call it after the commit of a create or update, before that of a delete. */
export function composeMessages(
  tenant: Tenant,
  change: RecordChange,
  subscribers: readonly Subscriber[],
): Message[] {
  const model = modelOf(tenant);
  return tenant.data.read(tenant.observe(), (db) => {
    const composed = new Map<string, string | undefined>();
    const messages: Message[] = [];
    for (const { client, topic, kind } of subscribers) {
      const auth = client.auth?.record;
      const key = `${kind} ${auth === undefined ? "" : `${auth.collection.id}/${auth.id}`} ${topic.rawOptions}`;
      let data = composed.get(key);
      if (data === undefined && !composed.has(key)) {
        data = compose(recordScope(db, model, infoOf(client, topic)), change, kind);
        composed.set(key, data);
      }
      if (data !== undefined) messages.push({ client, event: topic.name, data });
    }
    return messages;
  });
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
  return marshalGo({ record: fields === "" ? json : pickFields(json, fields), action });
}
