import { EventSourceParserStream } from "eventsource-parser/stream";
import { SystemError, UserError } from "../../shared/errors.ts";
import { type Slug, parseRevision } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { InternalClient } from "../../shared/protocol/internal-client.ts";
import {
  type ResolveRequest,
  type Route,
  routeChangeSchema,
  routeSchema,
  routeSnapshotSchema,
} from "../../shared/protocol/internal.ts";
import type { Keyring } from "../../shared/protocol/keys.ts";
import type { RouteTable } from "./route-table.ts";

export interface RouteSourceOptions {
  controlUrl: string;
  keys: Keyring;
  fetch?: typeof fetch;
}

/** Control, as a gateway sees it: questions about one tenant, and the stream that keeps the table current. */
export class RouteSource {
  readonly #client: InternalClient;
  readonly #table: RouteTable;
  readonly #asked = new Map<string, Promise<Route>>();

  constructor(table: RouteTable, options: RouteSourceOptions) {
    this.#table = table;
    this.#client = new InternalClient({
      url: options.controlUrl,
      keys: options.keys,
      timeoutMs: limits.routeWaitMsMax + limits.controlRequestMs,
      ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
    });
  }

  /** A route with a worker. Callers with the same question share one call. */
  resolve(slug: Slug, failed?: ResolveRequest["failed"]): Promise<Route> {
    const question = `${slug} ${failed?.incarnation ?? ""} ${failed?.epoch ?? ""}`;
    const running = this.#asked.get(question);
    if (running !== undefined) return running;
    const asked = this.#client
      .call("POST", "/v1/routes/resolve", routeSchema, { slug, ...(failed === undefined ? {} : { failed }) })
      .then((route) => {
        this.#table.learn(route);
        return route;
      })
      .finally(() => this.#asked.delete(question));
    this.#asked.set(question, asked);
    return asked;
  }

  /** Keeps the table current until the signal; after a break it goes on from the last revision, or from a snapshot. */
  async follow(signal: AbortSignal, told: (problem: string) => void): Promise<void> {
    let delayMs: number = limits.restartDelayMsMin;
    while (!signal.aborted) {
      try {
        await this.#followOnce(signal, () => (delayMs = limits.restartDelayMsMin));
      } catch (error) {
        if (signal.aborted) return;
        told(error instanceof Error ? error.message : String(error));
      }
      await new Promise((resolve) => setTimeout(resolve, delayMs * (0.5 + Math.random() / 2)));
      delayMs = Math.min(delayMs * 2, limits.controlRetryMsMax);
    }
  }

  async #followOnce(signal: AbortSignal, working: () => void): Promise<void> {
    if (this.#table.revision === 0) {
      this.#table.replaceAll(
        await this.#client.call("GET", "/v1/routes", routeSnapshotSchema, undefined, signal),
      );
    }
    const idle = new AbortController();
    const ended = AbortSignal.any([signal, idle.signal]);
    const silent = () =>
      idle.abort(new SystemError("control_unreachable", "Cannot follow routes: control fell silent"));
    let timer = setTimeout(silent, limits.streamProgressMs * 3);
    try {
      const response = await this.#client
        .open("GET", `/v1/routes/stream?from=${this.#table.revision}`, undefined, ended)
        .catch((error: unknown) => {
          if (error instanceof UserError && error.code === "revision_compacted") this.#table.forgetRevision();
          throw error;
        });
      if (response.body === null) return;
      const events = response.body
        .pipeThrough(new TextDecoderStream())
        .pipeThrough(new EventSourceParserStream());
      for await (const event of events) {
        clearTimeout(timer);
        timer = setTimeout(silent, limits.streamProgressMs * 3);
        working();
        const changes =
          event.event === "routes" ? routeChangeSchema.array().parse(JSON.parse(event.data)) : [];
        this.#table.apply(parseRevision(event.id ?? ""), changes);
      }
    } finally {
      clearTimeout(timer);
      idle.abort();
    }
  }
}
