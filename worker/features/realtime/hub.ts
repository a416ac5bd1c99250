/** The realtime clients of a tenant, and what they are told of changed records. */
import { limits } from "../../../shared/limits.ts";
import { currentRecord } from "../../auth/current-record.ts";
import { tokenOptions } from "../../auth/options.ts";
import { createLog } from "../../log.ts";
import type { RecordChange, RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { tooManyRequests } from "../../pb/api-error.ts";
import type { Tenant, WriteTransaction } from "../../tenant/contract.ts";
import { RealtimeClient } from "./client.ts";
import { type Message, composeMessages } from "./compose.ts";
import { parseEventId } from "./event-id.ts";
import { Journal } from "./journal.ts";
import { missedMessages } from "./replay.ts";
import { type Subscriber, basesOf } from "./subscribers.ts";

const log = createLog("realtime");

/** Tenant slot. Asking for it attaches it to the tenant's changes. */
export const realtimeHub = { create: (tenant: Tenant): RealtimeHub => new RealtimeHub(tenant) };

export class RealtimeHub {
  readonly #tenant: Tenant;
  readonly #journal: Journal;
  /** By name. */
  readonly #clients = new Map<string, RealtimeClient>();
  /** Who listens to a topic's base. */
  readonly #listeners = new Map<string, Set<RealtimeClient>>();

  constructor(tenant: Tenant) {
    this.#tenant = tenant;
    this.#journal = new Journal(tenant);
    modelOf(tenant).listen((tx, change) => this.#changed(tx, change));
    tenant.gone.addEventListener("abort", () => this.#closeAll(), { once: true });
    tenant.onReplaced(() => this.#closeAll());
  }

  get size(): number {
    return this.#clients.size;
  }

  find(id: string): RealtimeClient | undefined {
    const client = this.#clients.get(parseEventId(id)?.name ?? "");
    if (client !== undefined) this.#checkSecret(client);
    return client;
  }

  /**
   * @param lastEventId - of a client that comes again: it is told what it missed since when it has subscribed
   * @throws ApiError 429 when the tenant has as many as it may
   */
  connect(clientIp: string, lastEventId: string): RealtimeClient {
    if (this.#clients.size >= limits.realtimeClientsMax) throw tooManyRequests();
    const client = new RealtimeClient(clientIp, this.#position(), (closed) => this.#forget(closed));
    if (lastEventId !== "") client.resumeAfter = parseEventId(lastEventId)?.position ?? null;
    this.#clients.set(client.name, client);
    if (this.#tenant.gone.aborted) client.close();
    return client;
  }

  /** As `subscribe`, and after what a client that came again has missed until now. */
  async resume(
    client: RealtimeClient,
    names: readonly string[],
    auth: RecordData | undefined,
  ): Promise<void> {
    const told = this.#tellMissed(client, names, auth);
    client.resumed = told.catch(() => undefined);
    await told;
  }

  async #tellMissed(
    client: RealtimeClient,
    names: readonly string[],
    auth: RecordData | undefined,
  ): Promise<void> {
    const after = client.resumeAfter;
    client.resumeAfter = undefined;
    const seen = this.#tenant.observe();
    client.hold();
    client.authenticate(this.#asOfNow(auth));
    client.subscribe(names);
    const ready = (): void => this.subscribe(client, names, auth);
    try {
      const messages = await missedMessages(this.#tenant, seen, this.#journal, client, after ?? 0, ready);
      await seen.settled();
      for (const { event, data, position } of messages ?? []) client.send(event, data, position);
      if (messages === undefined) client.send("PB_RESUME", `{"complete":false}`, this.#journal.newest());
      client.release();
    } catch (error) {
      // It comes again, and asks for the same.
      client.close();
      throw error;
    }
  }

  /** Replaces everything that the client had subscribed to. */
  subscribe(client: RealtimeClient, names: readonly string[], auth: RecordData | undefined): void {
    this.#unlisten(client);
    client.authenticate(this.#asOfNow(auth));
    client.subscribe(names);
    for (const { base } of client.topics) {
      const listeners = this.#listeners.get(base);
      if (listeners === undefined) this.#listeners.set(base, new Set([client]));
      else listeners.add(client);
    }
  }

  /** Undefined for a record whose tokens ended while the request came or waited: it is told nothing in its name. */
  #asOfNow(auth: RecordData | undefined): RecordData | undefined {
    const tenant = this.#tenant;
    return auth && tenant.data.read(tenant.observe(), (db) => currentRecord(tenant, db, auth));
  }

  /** A tenant that cannot write now has realtime all the same, without resuming. */
  #position(): number {
    try {
      this.#journal.keep();
      return this.#journal.newest();
    } catch (error) {
      log.warn({ err: error, tenant: this.#tenant.id }, "cannot note changes for clients that come again");
      return 0;
    }
  }

  #changed(tx: WriteTransaction, change: RecordChange): void {
    const position = this.#journal.note(tx, change, this.#clients.size > 0);
    if (this.#clients.size === 0) return;
    const isAuthGone = change.collection.type === "auth" && change.action !== "create";
    if (change.action === "delete") {
      // The read-only connection still sees the row, and every row that its rule may look at.
      const messages = this.#compose(change, position);
      if (isAuthGone) tx.afterCommit(() => this.#dropAuth(change.record));
      if (messages.length > 0) tx.afterDurable(() => deliver(messages));
      return;
    }
    let messages: Message[] = [];
    tx.afterCommit(() => {
      if (isAuthGone) this.#refreshAuth(change);
      messages = this.#compose(change, position);
    });
    tx.afterDurable(() => deliver(messages));
  }

  #compose(change: RecordChange, position: number): Message[] {
    const subscribers = this.#subscribersOf(change);
    if (subscribers.length === 0) return [];
    try {
      return composeMessages(this.#tenant, change, subscribers, position);
    } catch (error) {
      log.error({ err: error, tenant: this.#tenant.id }, "could not tell a change to realtime clients");
      return [];
    }
  }

  #subscribersOf({ collection, record }: RecordChange): Subscriber[] {
    const subscribers: Subscriber[] = [];
    for (const [base, kind] of basesOf(collection, record.id)) {
      for (const client of this.#listeners.get(base) ?? []) {
        this.#checkSecret(client);
        for (const topic of client.topics) {
          if (topic.base === base) subscribers.push({ client, topic, kind });
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
    for (const client of this.#authenticatedAs(record)) {
      this.#checkSecret(client);
      if (client.auth !== undefined) client.authenticate(keyChanged ? undefined : record);
    }
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
    this.#clients.delete(client.name);
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
  for (const { client, event, data, position } of messages) client.tell(event, data, position);
}
