import { SystemError, UserError, errorResponse } from "../../../shared/errors.ts";
import type { Revision } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { RouteFeed, RouteUpdate } from "../../domain/route-feed.ts";
import type { Table } from "../../domain/table.ts";

export interface RouteStreamParts {
  table: Table;
  feed: RouteFeed;
  stopping: AbortSignal;
}

/**
 * Server-sent events of route changes. Each event's id is the revision up to which the reader is complete. A reader that does not
 * keep up is cut off when its queue is full, and comes back with the last id that it saw.
 */
export class RouteStreams {
  readonly #parts: RouteStreamParts;
  /** One update goes to many readers: encoded once. */
  readonly #encoded = new WeakMap<RouteUpdate, string>();

  constructor(parts: RouteStreamParts) {
    this.#parts = parts;
  }

  /** 410 when the revision is older than the kept past, or newer than anything that happened. */
  open(from: Revision, signal: AbortSignal): Response {
    const { table, feed, stopping } = this.#parts;
    if (feed.readers >= limits.routeStreamsMax) {
      throw new SystemError("overloaded", "Cannot stream routes: too many readers", { retryAfterMs: 5000 });
    }
    const queue = new EventQueue();
    let complete = from;
    const end = (): void => {
      leave?.();
      clearInterval(timer);
      queue.end();
    };
    const leave =
      from > table.revision
        ? undefined
        : feed.read(
            from,
            (update) => {
              if (update.changes.length > 0 && !queue.push(this.#encode(update, complete))) end();
              complete = update.rev;
            },
            () => end(),
          );
    const timer = setInterval(() => queue.progress(complete), limits.streamProgressMs);
    if (leave === undefined) {
      end();
      return errorResponse(
        new UserError("revision_compacted", `Cannot stream routes from revision ${from}: it is not kept`, {
          hint: "Take a snapshot from /v1/routes and stream from its revision.",
        }),
      );
    }
    queue.replayed();
    complete = table.revision;
    queue.progress(complete);
    for (const ended of [signal, stopping]) ended.addEventListener("abort", end, { once: true });
    return new Response(queue.stream(end), {
      headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
    });
  }

  #encode(update: RouteUpdate, before: Revision): string {
    let text = this.#encoded.get(update);
    if (text === undefined) {
      text = "";
      for (let i = 0; i < update.changes.length; i += limits.routesPerSlice) {
        const last = i + limits.routesPerSlice >= update.changes.length;
        const slice = JSON.stringify(update.changes.slice(i, i + limits.routesPerSlice));
        // All but the last slice repeat the revision before: a reader cut off between them asks for the whole again.
        text += `id: ${last ? update.rev : before}\nevent: routes\ndata: ${slice}\n\n`;
      }
      this.#encoded.set(update, text);
    }
    return text;
  }
}

class EventQueue {
  readonly #encoder = new TextEncoder();
  #events: string[] = [];
  #eventsMax: number = limits.watchQueueMax;
  #ended = false;
  #wake: (() => void) | undefined;

  /** @returns false when it is full */
  push(event: string): boolean {
    if (this.#events.length >= this.#eventsMax) return false;
    this.#events.push(event);
    this.#wake?.();
    return true;
  }

  /** What a reader missed is bounded by the feed's past and leaves it its whole queue for what comes. */
  replayed(): void {
    this.#eventsMax = this.#events.length + limits.watchQueueMax;
  }

  /** Only when nothing waits: the id must not pass a change that is not sent. */
  progress(rev: Revision): void {
    if (this.#events.length === 0) this.push(`id: ${rev}\nevent: progress\ndata: {}\n\n`);
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  stream(cancel: () => void): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          while (this.#events.length === 0 && !this.#ended) {
            await new Promise<void>((resolve) => {
              this.#wake = resolve;
            });
          }
          if (this.#ended) {
            controller.close();
            return;
          }
          controller.enqueue(this.#encoder.encode(this.#events.splice(0).join("")));
        },
        cancel,
      },
      { highWaterMark: 0 },
    );
  }
}
