import { EventSourceParserStream } from "eventsource-parser/stream";
import { LRUCache } from "lru-cache";
import { SystemError, UserError } from "../../shared/errors.ts";
import { type Slug, parseRevision } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import {
  type FindRequest,
  type ResolveRequest,
  type Route,
  routeChangeSchema,
  routeSnapshotSchema,
} from "../../shared/protocol/internal.ts";
import { type ControlOptions, HedgedControl } from "./hedged-control.ts";
import type { RouteTable } from "./route-table.ts";

export interface RouteSourceOptions extends ControlOptions {
  /** No stream is followed, and callers do not wait for each other's questions: the runtime ends those with their request. */
  onDemand?: boolean;
}

/** Control, as a gateway sees it: questions about one tenant, and the stream that keeps the table current. */
export class RouteSource {
  readonly #control: HedgedControl;
  readonly #table: RouteTable;
  readonly #asked = new Map<string, Promise<Route>>();
  /** Slugs that control does not know, for a moment: a crowd that asks for nothing must not become control's. */
  readonly #unknown = new LRUCache<string, Unknown>({
    max: limits.unknownTenantsMax,
    ttl: limits.unknownTenantMs,
    // Without it the cache keeps a timer, which some runtimes end with the request that started it.
    ttlResolution: 0,
  });
  /** Archived tenants that control was asked for and does not fetch, so that robots do not become its load. */
  readonly #cold = new LRUCache<string, true>({
    max: limits.coldTenantsMax,
    ttl: limits.coldTenantMs,
    ttlResolution: 0,
  });
  readonly #onDemand: boolean;
  #following = false;

  constructor(table: RouteTable, options: RouteSourceOptions) {
    this.#table = table;
    this.#onDemand = options.onDemand === true;
    this.#control = new HedgedControl(options);
  }

  /** The replica that answered last. */
  get controlUrl(): string {
    return this.#control.current.url;
  }

  /** The stream is open, so that the table is no older than a moment. */
  get following(): boolean {
    return this.#following;
  }

  /**
   * A route with a worker. Callers with the same question share one call.
   *
   * @throws UserError `tenant_not_found`, `tenant_deleted`; SystemError `control_unreachable` and what control says
   */
  resolve(slug: Slug, failed?: ResolveRequest["failed"]): Promise<Route> {
    const unknown = this.#unknown.get(slug);
    // Only while control is heard: a tenant that was just made is in the table then, and "unknown" is still what control says.
    const heard = this.#following || this.#onDemand;
    if (unknown !== undefined && heard && this.#table.find(slug) === undefined) {
      return Promise.reject(asError(unknown));
    }
    const question = `${slug} ${failed?.incarnation ?? ""} ${failed?.epoch ?? ""} ${failed?.reason ?? ""}`;
    return this.#shared(question, slug, () =>
      this.#control.resolve({ slug, ...(failed === undefined ? {} : { failed }) }).then(
        (route) => {
          if (route.state === "archived" && route.thawing !== true) this.#cold.set(slug, true);
          return route;
        },
        (error: unknown) => {
          if (isUnknown(error)) this.#table.drop(slug);
          throw error;
        },
      ),
    );
  }

  /** Control knows that there are requests for this archived tenant, and that changed nothing. */
  staysCold(slug: Slug): boolean {
    return this.#cold.has(slug);
  }

  /**
   * Whose a name is, without a worker being assigned to it: for names that the table does not have.
   *
   * @throws as `resolve`
   */
  find(request: FindRequest): Promise<Route> {
    const name = "slug" in request ? request.slug : `host ${request.host}`;
    const unknown = this.#unknown.get(name);
    if (unknown !== undefined && (this.#following || this.#onDemand)) return Promise.reject(asError(unknown));
    return this.#shared(`find ${name}`, name, () => this.#control.find(request));
  }

  /** Callers with the same question share one call; `name` is what is unknown when control says so. */
  #shared(question: string, name: string, ask: () => Promise<Route>): Promise<Route> {
    const running = this.#asked.get(question);
    if (running !== undefined && !this.#onDemand) return running;
    if (this.#asked.size >= limits.routeQuestionsMax) {
      return Promise.reject(
        new SystemError("overloaded", "Cannot find a route now: too many are being asked for", {
          retryAfterMs: 1000,
        }),
      );
    }
    const asked = ask()
      .then(
        (route) => {
          this.#table.learn(route);
          return route;
        },
        (error: unknown) => {
          if (isUnknown(error)) this.#unknown.set(name, { code: error.code, message: error.message });
          throw error;
        },
      )
      .finally(() => this.#asked.delete(question));
    this.#asked.set(question, asked);
    return asked;
  }

  /** Keeps the table current until the signal; after a break it goes on from the last revision, or from a snapshot. */
  async follow(signal: AbortSignal, told: (problem: string) => void): Promise<void> {
    let delayMs: number = limits.restartDelayMsMin;
    while (!signal.aborted) {
      try {
        await this.#followOnce(signal, () => {
          this.#following = true;
          delayMs = limits.restartDelayMsMin;
        });
      } catch (error) {
        if (signal.aborted) return;
        told(error instanceof Error ? error.message : String(error));
        this.#control.turn();
      } finally {
        this.#following = false;
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, delayMs * (0.5 + Math.random() / 2));
        signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
      });
      delayMs = Math.min(delayMs * 2, limits.controlRetryMsMax);
    }
  }

  async #followOnce(signal: AbortSignal, working: () => void): Promise<void> {
    const client = this.#control.current;
    if (this.#table.revision === 0) {
      this.#table.replaceAll(await client.call("GET", "/v1/routes", routeSnapshotSchema, undefined, signal));
    }
    const idle = new AbortController();
    const ended = AbortSignal.any([signal, idle.signal]);
    const silent = () =>
      idle.abort(new SystemError("control_unreachable", "Cannot follow routes: control fell silent"));
    let timer = setTimeout(silent, limits.streamProgressMs * 3);
    try {
      const response = await client
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

/** What control said of a name; not the error itself, whose stack is many times as large. */
type Unknown = Pick<UserError, "code" | "message">;

function asError({ code, message }: Unknown): UserError {
  return new UserError(code, message);
}

function isUnknown(error: unknown): error is UserError {
  return error instanceof UserError && error.status === 404;
}
