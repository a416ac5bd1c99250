/** One server-sent-events connection: its subscriptions, who it speaks for, and a bounded queue of messages. */
import { randomText } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { tokenOptions } from "../../auth/options.ts";
import type { RecordData } from "../../model/contract.ts";
import { type Topic, parseTopic } from "./topic.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

export interface ClientAuth {
  readonly record: RecordData;
  /** The collection's token secret at that time: a new one ends the authentication. */
  readonly secret: string;
}

export class RealtimeClient {
  readonly id = randomText(40, ALPHABET);
  readonly clientIp: string;
  readonly stream: ReadableStream<Uint8Array>;
  auth: ClientAuth | undefined;
  topics: readonly Topic[] = [];
  readonly #onClosed: (client: RealtimeClient) => void;
  readonly #encoder = new TextEncoder();
  readonly #startedMs: number;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #lastMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(clientIp: string, onClosed: (client: RealtimeClient) => void) {
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
    this.send("PB_CONNECT", `{"clientId":"${this.id}"}`);
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

  /** A client that does not keep up is disconnected: it reconnects and asks anew, which is better than a gap it cannot see. */
  send(event: string, data: string): void {
    const controller = this.#controller;
    if (controller === undefined) return;
    if ((controller.desiredSize ?? 0) <= 0) {
      this.close();
      return;
    }
    this.#lastMs = performance.now();
    controller.enqueue(this.#encoder.encode(`id:${this.id}\nevent:${event}\ndata:${data}\n\n`));
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
