/** The realtime clients of a tenant, and what they are told of changed records. */
import { limits } from "../../../shared/limits.ts";
import { tokenOptions } from "../../auth/options.ts";
import { createLog } from "../../log.ts";
import type { RecordChange, RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { tooManyRequests } from "../../pb/api-error.ts";
import type { Tenant, WriteTransaction } from "../../tenant/contract.ts";
import { type Message, type Subscriber, composeMessages } from "./compose.ts";
import { RealtimeClient } from "./client.ts";

const log = createLog("realtime");

/** Tenant slot. Asking for it attaches it to the tenant's changes. */
export const realtimeHub = { create: (tenant: Tenant): RealtimeHub => new RealtimeHub(tenant) };

export class RealtimeHub {
  readonly #tenant: Tenant;
  readonly #clients = new Map<string, RealtimeClient>();
  /** Who listens to a topic's base. */
  readonly #listeners = new Map<string, Set<RealtimeClient>>();

  constructor(tenant: Tenant) {
    this.#tenant = tenant;
    modelOf(tenant).listen((tx, change) => this.#changed(tx, change));
    tenant.gone.addEventListener("abort", () => this.#closeAll(), { once: true });
    tenant.onReplaced(() => this.#closeAll());
  }

  get size(): number {
    return this.#clients.size;
  }

  find(id: string): RealtimeClient | undefined {
    return this.#clients.get(id);
  }

  /** @throws ApiError 429 when the tenant has as many as it may */
  connect(clientIp: string): RealtimeClient {
    if (this.#clients.size >= limits.realtimeClientsMax) throw tooManyRequests();
    const client = new RealtimeClient(clientIp, (closed) => this.#forget(closed));
    this.#clients.set(client.id, client);
    if (this.#tenant.gone.aborted) client.close();
    return client;
  }

  /** Replaces everything that the client had subscribed to. */
  subscribe(client: RealtimeClient, names: readonly string[], auth: RecordData | undefined): void {
    this.#unlisten(client);
    client.authenticate(auth);
    client.subscribe(names);
    for (const { base } of client.topics) {
      const listeners = this.#listeners.get(base);
      if (listeners === undefined) this.#listeners.set(base, new Set([client]));
      else listeners.add(client);
    }
  }

  #changed(tx: WriteTransaction, change: RecordChange): void {
    if (this.#clients.size === 0) return;
    const isAuthGone = change.collection.type === "auth" && change.action !== "create";
    if (change.action === "delete") {
      // The read-only connection still sees the row, and every row that its rule may look at.
      const messages = this.#compose(change);
      if (isAuthGone) tx.afterCommit(() => this.#dropAuth(change.record));
      if (messages.length > 0) tx.afterDurable(() => deliver(messages));
      return;
    }
    let messages: Message[] = [];
    tx.afterCommit(() => {
      if (isAuthGone) this.#refreshAuth(change);
      messages = this.#compose(change);
    });
    tx.afterDurable(() => deliver(messages));
  }

  #compose(change: RecordChange): Message[] {
    const subscribers = this.#subscribersOf(change);
    if (subscribers.length === 0) return [];
    try {
      return composeMessages(this.#tenant, change, subscribers);
    } catch (error) {
      log.error({ err: error, tenant: this.#tenant.id }, "could not tell a change to realtime clients");
      return [];
    }
  }

  #subscribersOf({ collection, record }: RecordChange): Subscriber[] {
    const subscribers: Subscriber[] = [];
    for (const name of new Set([collection.name, collection.id])) {
      for (const [base, kind] of [
        [`${name}/${record.id}`, "view"],
        [`${name}/*`, "list"],
        [name, "list"],
      ] as const) {
        for (const client of this.#listeners.get(base) ?? []) {
          this.#checkSecret(client);
          for (const topic of client.topics) {
            if (topic.base === base) subscribers.push({ client, topic, kind });
          }
        }
      }
    }
    return subscribers;
  }

  /** A changed token secret of the collection ends every authentication that it stood for. */
  #checkSecret(client: RealtimeClient): void {
    const { auth } = client;
    if (auth === undefined) return;
    const current = modelOf(this.#tenant).schema.find(auth.record.collection.id);
    if (current === undefined || tokenOptions(current, "auth").secret !== auth.secret)
      client.auth = undefined;
  }

  #refreshAuth({ record, before }: RecordChange): void {
    const keyChanged = before?.values["tokenKey"] !== record.values["tokenKey"];
    for (const client of this.#authenticatedAs(record)) client.authenticate(keyChanged ? undefined : record);
  }

  #dropAuth(record: RecordData): void {
    for (const client of this.#authenticatedAs(record)) client.auth = undefined;
  }

  *#authenticatedAs(record: RecordData): Generator<RealtimeClient> {
    for (const client of this.#clients.values()) {
      const known = client.auth?.record;
      if (known?.id === record.id && known.collection.id === record.collection.id) yield client;
    }
  }

  #forget(client: RealtimeClient): void {
    this.#clients.delete(client.id);
    this.#unlisten(client);
  }

  #unlisten(client: RealtimeClient): void {
    for (const { base } of client.topics) {
      const listeners = this.#listeners.get(base);
      listeners?.delete(client);
      if (listeners?.size === 0) this.#listeners.delete(base);
    }
  }

  #closeAll(): void {
    for (const client of this.#clients.values()) client.close();
  }
}

function deliver(messages: readonly Message[]): void {
  for (const { client, event, data } of messages) client.send(event, data);
}
