import type { Collection } from "../../../shared/schema/collection.ts";
import type { RealtimeClient } from "./client.ts";
import type { Topic } from "./topic.ts";

export interface Subscriber {
  client: RealtimeClient;
  topic: Topic;
  /** Which rule of the collection guards the topic. */
  kind: "list" | "view";
}

/** The topic bases that a change of this record is told under, in the order in which it is. */
export function basesOf(collection: Collection, record: string): (readonly [string, "list" | "view"])[] {
  return [...new Set([collection.name, collection.id])].flatMap(
    (name) =>
      [
        [`${name}/${record}`, "view"],
        [`${name}/*`, "list"],
        [name, "list"],
      ] as const,
  );
}

export function subscribersAmong(
  clients: Iterable<RealtimeClient>,
  collection: Collection,
  record: string,
): Subscriber[] {
  const bases = basesOf(collection, record);
  return [...clients].flatMap((client) =>
    bases.flatMap(([base, kind]) =>
      client.topics.flatMap((topic) => (topic.base === base ? [{ client, topic, kind }] : [])),
    ),
  );
}
