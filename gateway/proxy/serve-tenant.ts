import { SystemError, UserError } from "../../shared/errors.ts";
import type { Slug } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Mac } from "../../shared/protocol/grant.ts";
import type { ResolveRequest, Route } from "../../shared/protocol/internal.ts";
import type { Keyring } from "../../shared/protocol/keys.ts";
import type { RouteSource } from "../routes/route-source.ts";
import type { RouteTable } from "../routes/route-table.ts";
import { Answer } from "./answer.ts";
import type { Breakers } from "./breakers.ts";
import type { Doubts } from "./doubts.ts";
import type { GrantSigner } from "./grant-signer.ts";
import type { SendUpstream } from "./upstream.ts";
import { type Told, promised, tellOf } from "./told.ts";
import { type NotRun, type Outcome, type Work, confirmOwner, tryWorker } from "./try-worker.ts";

export interface TenantProxy {
  table: RouteTable;
  source: RouteSource;
  keys: Keyring;
  fetch?: typeof fetch;
  /** How requests reach workers where it is not by `fetch`. */
  send?: SendUpstream;
  /** Signs grants more quickly than what runs everywhere. */
  mac?: Mac | undefined;
  /** True when `fetch` takes bodies off their encoding unless it is asked for `identity`. */
  decodesBodies?: boolean;
}

export interface TenantProxyState extends TenantProxy {
  decodesBodies: boolean;
  send: SendUpstream;
  grants: GrantSigner;
  breakers: Breakers;
  doubts: Doubts;
  /** Requests that wait for a route, a load or a takeover right now. */
  holding: number;
}

/** What control says that passes by itself. */
const PASSING: ReadonlySet<string> = new Set([
  "control_unreachable",
  "control_no_leader",
  "no_worker",
  "tenant_moving",
]);

/**
 * Forwards a request to the tenant's worker. While the tenant moves, loads or is taken over the request is held, bounded in time
 * and number; it is sent again only when nothing of it can have run, or when it is safe by its method.
 *
 * Fails with a UserError or SystemError that the page maker turns into an answer.
 */
export function serveTenant(
  proxy: TenantProxyState,
  slug: Slug,
  work: Work,
  told: Told<Response | Answer>,
): void {
  const known = proxy.table.find(slug);
  work.exchange.routeKnown = known?.worker !== undefined;
  oneTry(proxy, slug, work, known, undefined, new FirstTry(proxy, slug, work, told));
}

/** A request that meets its worker at the first try is no waiter, and costs nothing of what follows. */
class FirstTry implements Told<Outcome> {
  readonly #proxy: TenantProxyState;
  readonly #slug: Slug;
  readonly #work: Work;
  readonly #told: Told<Response | Answer>;

  constructor(proxy: TenantProxyState, slug: Slug, work: Work, told: Told<Response | Answer>) {
    this.#proxy = proxy;
    this.#slug = slug;
    this.#work = work;
    this.#told = told;
  }

  done(outcome: Outcome): void {
    if (outcome instanceof Answer || !("why" in outcome)) this.#told.done(outcome);
    else tellOf(held(this.#proxy, this.#slug, this.#work, outcome), this.#told);
  }

  failed(error: unknown): void {
    this.#told.failed(error);
  }
}

async function held(
  proxy: TenantProxyState,
  slug: Slug,
  work: Work,
  first: NotRun,
): Promise<Response | Answer> {
  if (proxy.holding >= limits.holdRequestsMax) {
    throw new SystemError("overloaded", "Cannot take this request: too many are waiting", {
      retryAfterMs: 1000,
    });
  }
  proxy.holding += 1;
  const startedMs = performance.now();
  try {
    return await hold(proxy, slug, work, first, startedMs);
  } finally {
    proxy.holding -= 1;
    work.exchange.heldMs = performance.now() - startedMs;
  }
}

async function hold(
  proxy: TenantProxyState,
  slug: Slug,
  work: Work,
  first: NotRun,
  startedMs: number,
): Promise<Response | Answer> {
  const { signal } = work.request;
  let last = first;
  let pauseMs: number = limits.holdPauseMsMin;
  for (;;) {
    signal.throwIfAborted();
    const ofControl = last.why.code.startsWith("control_");
    const untilMs = startedMs + (ofControl ? limits.holdControlMsMax : limits.holdMsMax);
    if (last.final || performance.now() + pauseMs > untilMs) throw last.why;
    // Where control may know better already, it is asked at once the first time.
    if (last.failed === undefined || last !== first) {
      await pause(pauseMs * (0.5 + Math.random() / 2), signal);
      pauseMs = Math.min(pauseMs * 2, limits.holdPauseMsMax);
    }
    work.exchange.retries += 1;
    const { failed } = last;
    const outcome = await promised<Outcome>((told) =>
      oneTry(proxy, slug, work, proxy.table.find(slug), failed, keeping(told)),
    );
    if (!("why" in outcome)) return outcome;
    last = outcome;
  }
}

/** A promise's answer is used later than it is told. */
function keeping(told: Told<Outcome>): Told<Outcome> {
  return {
    done: (outcome) => told.done(outcome instanceof Answer ? outcome.kept() : outcome),
    failed: (error) => told.failed(error),
  };
}

/** @param failed what was wrong with the route of the last try; control is asked then, as it is when there is no route */
function oneTry(
  proxy: TenantProxyState,
  slug: Slug,
  work: Work,
  known: Route | undefined,
  failed: ResolveRequest["failed"],
  told: Told<Outcome>,
): void {
  if (known?.worker === undefined || failed !== undefined || !work.body.again) {
    tellOf(tryAsked(proxy, slug, work, known, failed), told);
    return;
  }
  try {
    refuseByState(known, slug);
  } catch (error) {
    told.failed(error);
    return;
  }
  tryWorker(proxy, known, work, told);
}

async function tryAsked(
  proxy: TenantProxyState,
  slug: Slug,
  work: Work,
  known: Route | undefined,
  failed: ResolveRequest["failed"],
): Promise<Outcome> {
  let route = known;
  if (route?.worker === undefined || failed !== undefined) {
    if (route === undefined || !isClosed(proxy, route, slug)) {
      try {
        route = await proxy.source.resolve(slug, failed);
      } catch (error) {
        // Nobody waits at the door of an archive: that it could not be opened is said at once.
        const passes = known?.state !== "archived" && error instanceof SystemError && PASSING.has(error.code);
        if (!passes) throw error;
        const stale = failed === undefined ? proxy.table.findStale(slug) : undefined;
        // Without control, what is known is tried again: the worker may be well and only its connection was not.
        if (stale?.worker === undefined) return { why: error };
        route = stale;
      }
    }
  }
  refuseByState(route, slug);
  const owned = route;
  if (!work.body.again) {
    const refused = await confirmOwner(proxy, owned, work);
    if (refused !== undefined) return refused;
  }
  return promised((told) => tryWorker(proxy, owned, work, keeping(told)));
}

/** Control would say the same of these: it tells the table when that ends. An archived one's first request starts its thaw. */
function isClosed({ source }: TenantProxyState, route: Route, slug: Slug): boolean {
  if (route.suspended) return true;
  return route.state === "archived" && (route.thawing === true || source.staysCold(slug));
}

/** @throws UserError or SystemError for a tenant that nobody is to serve now */
export function refuseByState(route: Route, slug: Slug): void {
  if (route.suspended) {
    throw new UserError("tenant_suspended", `Cannot serve ${slug}: it is suspended`, {
      hint: "Ask whoever runs this application.",
    });
  }
  if (route.state === "deleted") {
    throw new UserError("tenant_deleted", `Cannot serve ${slug}: it was deleted`);
  }
  if (route.state === "archived" && route.thawing !== true) {
    throw new SystemError("tenant_stopped", `Cannot serve ${slug}: it is in the archive`, {
      hint: "Ask whoever runs this application to fetch it from there.",
    });
  }
  if (route.state === "archived") {
    throw new SystemError(
      "tenant_stopped",
      `Cannot serve ${slug} yet: it is being fetched from the archive`,
      {
        hint: "This can take minutes to hours. The page may be opened again later.",
        retryAfterMs: 60_000,
      },
    );
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
