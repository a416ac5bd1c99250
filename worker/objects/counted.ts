import { limits } from "../../shared/limits.ts";
import type { GetResult, ObjectBody, ObjectStore } from "../../shared/objects/contract.ts";

export type RequestKind = "put" | "get" | "head" | "list" | "delete" | "copy" | "thaw";

export interface StoreCount {
  kind: RequestKind;
  purpose: string;
  requests: number;
  /** Of bodies only. */
  bytesSent: number;
  bytesReceived: number;
}

export interface CountedStore extends ObjectStore {
  /** One line per kind and purpose that was seen since the start or the last `reset`. */
  counts(): StoreCount[];
  /** All requests, or those of one kind or purpose. */
  requests(filter?: { kind?: RequestKind; purpose?: string }): number;
  reset(): void;
}

/** What a key is for, by the layout: `log`, `litestream`, `storage`, …; `control`, `backups`, `probe`, else `other`. */
export function purposeOf(key: string): string {
  const [room = "", , part] = key.split("/");
  if (room === "workers") return "log";
  if (room === "tenants") return part === undefined || part === "" ? "tenants" : part;
  return ["control", "backups", "probe"].includes(room) ? room : "other";
}

/** Counts what goes to the store: one request per page, batch and copy, whatever a driver splits or repeats below. */
export function countedStore(store: ObjectStore, purpose: (key: string) => string = purposeOf): CountedStore {
  const lines = new Map<string, StoreCount>();
  const line = (kind: RequestKind, key: string): StoreCount => {
    const name = purpose(key);
    const id = `${kind} ${name}`;
    let found = lines.get(id);
    if (found === undefined) {
      found = { kind, purpose: name, requests: 0, bytesSent: 0, bytesReceived: 0 };
      lines.set(id, found);
    }
    return found;
  };
  const count = (kind: RequestKind, key: string, requests = 1): StoreCount => {
    const counted = line(kind, key);
    counted.requests += requests;
    return counted;
  };
  const sent = (key: string, body: ObjectBody): void => {
    count("put", key).bytesSent += body.length;
  };
  return {
    kind: store.kind,
    description: store.description,
    putIfAbsent(key, body, options) {
      sent(key, body);
      return store.putIfAbsent(key, body, options);
    },
    put(key, body, options) {
      sent(key, body);
      return store.put(key, body, options);
    },
    async get(key, options) {
      const counted = count("get", key);
      const found = await store.get(key, options);
      return found && received(found, counted);
    },
    async range(key, range, options) {
      const counted = count("get", key);
      const found = await store.range(key, range, options);
      counted.bytesReceived += found?.bytes.length ?? 0;
      return found;
    },
    head(key, options) {
      count("head", key);
      return store.head(key, options);
    },
    list(options) {
      count("list", options.prefix);
      return store.list(options);
    },
    delete(keys, options) {
      const [first] = keys;
      if (first !== undefined) count("delete", first, Math.ceil(keys.length / limits.storeDeleteBatch));
      return store.delete(keys, options);
    },
    copy(from, to, options) {
      count("copy", to);
      return store.copy(from, to, options);
    },
    thaw(key, days, options) {
      count("thaw", key);
      return store.thaw(key, days, options);
    },
    ...(store.keepsVersions === undefined ? {} : { keepsVersions: store.keepsVersions.bind(store) }),
    ...(store.shred === undefined ? {} : { shred: store.shred.bind(store) }),
    close: () => store.close(),
    counts: () => structuredClone([...lines.values()]),
    requests: (filter = {}) =>
      [...lines.values()]
        .filter(({ kind }) => filter.kind === undefined || filter.kind === kind)
        .filter(({ purpose }) => filter.purpose === undefined || filter.purpose === purpose)
        .reduce((sum, { requests }) => sum + requests, 0),
    reset: () => lines.clear(),
  };
}

function received(found: GetResult, counted: StoreCount): GetResult {
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      counted.bytesReceived += chunk.length;
      controller.enqueue(chunk);
    },
  });
  return { size: found.size, stream: found.stream.pipeThrough(counter) };
}
