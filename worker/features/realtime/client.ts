/** One server-sent-events connection: its subscriptions, who it speaks for, and a bounded queue of messages. */
import { limits } from "../../../shared/limits.ts";
import { tokenOptions } from "../../auth/options.ts";
import type { RecordData } from "../../model/contract.ts";
import { eventId, newClientName } from "./event-id.ts";
import { type Topic, parseTopic } from "./topic.ts";

export interface ClientAuth {
  readonly record: RecordData;
  /** The collection's token secret at that time: a new one ends the authentication. */
  readonly secret: string;
}

export class RealtimeClient {
  /** What all ids of its events begin with. */
  readonly name = newClientName();
  readonly id: string;
  readonly clientIp: string;
  readonly stream: ReadableStream<Uint8Array>;
  auth: ClientAuth | undefined;
  topics: readonly Topic[] = [];
  readonly #onClosed: (client: RealtimeClient) => void;
  readonly #encoder = new TextEncoder();
  readonly #startedMs: number;
  /** What it says it has seen, until it is told what it missed since; null: something that nobody knows. */
  resumeAfter: number | null | undefined;
  /** Settles when it has been told what it missed; never rejects. */
  resumed: Promise<void> | undefined;
  /** What waits until it has been told what it missed. */
  #held: [event: string, data: string, position: number][] | undefined;
  /** Of the newest position: what is not noted is told under it too. */
  #eventId: string;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #lastMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param position - of the journal, as it is now */
  constructor(clientIp: string, position: number, onClosed: (client: RealtimeClient) => void) {
    this.id = eventId(this.name, position);
    this.#eventId = this.id;
    this.clientIp = clientIp;
    this.#onClosed = onClosed;
    this.#startedMs = performance.now();
    this.#lastMs = this.#startedMs;
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        cancel: () => this.close(),
      },
      { highWaterMark: limits.realtimeQueueMax },
    );
    this.send("PB_CONNECT", `{"clientId":"${this.id}"}`, position);
    this.#arm();
  }

  get isClosed(): boolean {
    return this.#controller === undefined;
  }

  subscribe(names: readonly string[]): void {
    this.topics = [...new Set(names)].map(parseTopic);
  }

  authenticate(record: RecordData | undefined): void {
    this.auth =
      record === undefined ? undefined : { record, secret: tokenOptions(record.collection, "auth").secret };
  }

  /** From now on messages wait for `release`: others come before them. */
  hold(): void {
    this.#held = [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const [event, data, position] of held) this.send(event, data, position);
  }

  /** As `send`, but after what it is held for. */
  tell(event: string, data: string, position: number): void {
    if (this.#held === undefined) this.send(event, data, position);
    else if (this.#held.length < limits.realtimeQueueMax) this.#held.push([event, data, position]);
    else this.close();
  }

  /** A client that does not keep up is disconnected: it reconnects and asks anew, which is better than a gap it cannot see. */
  send(event: string, data: string, position = 0): void {
    const controller = this.#controller;
    if (controller === undefined) return;
    if ((controller.desiredSize ?? 0) <= 0) {
      this.close();
      return;
    }
    this.#lastMs = performance.now();
    if (position > 0) this.#eventId = eventId(this.name, position);
    controller.enqueue(this.#encoder.encode(`id:${this.#eventId}\nevent:${event}\ndata:${data}\n\n`));
  }

  close(): void {
    const controller = this.#controller;
    if (controller === undefined) return;
    this.#controller = undefined;
    clearTimeout(this.#timer);
    this.#onClosed(this);
    try {
      controller.close();
    } catch {
      // already cancelled by the reader
    }
  }

  /** One timer for both ends: nothing sent for long, or open for too long. */
  #arm(): void {
    const nowMs = performance.now();
    const endMs = Math.min(
      this.#lastMs + limits.realtimeIdleMsMax,
      this.#startedMs + limits.realtimeConnectionMsMax,
    );
    if (endMs <= nowMs) {
      this.close();
      return;
    }
    this.#timer = setTimeout(() => this.#arm(), endMs - nowMs + 1);
  }
}
