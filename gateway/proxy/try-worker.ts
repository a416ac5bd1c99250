import { SystemError, type UserError, parseErrorBody } from "../../shared/errors.ts";
import { parseEpoch } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Grant } from "../../shared/protocol/grant.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import { isRemembered } from "../../shared/protocol/idempotency.ts";
import type { ResolveRequest, Route } from "../../shared/protocol/internal.ts";
import { pathAndQueryOf, pathOf } from "../host.ts";
import { Answer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { parseFields } from "../http1/fields.ts";
import { Waiting } from "./doubts.ts";
import { type Granted, type Signed, granted } from "./grant-signer.ts";
import type { Outgoing } from "../http1/outgoing.ts";
import { forwardedLines, putForwarded, requestFields, responseFields } from "./headers.ts";
import type { ReplayableBody } from "./replayable-body.ts";
import type { TenantProxyState } from "./serve-tenant.ts";
import { Stop, stopAfter } from "./stop.ts";
import { type Told, promised, tellOf } from "./told.ts";
import {
  type Fields,
  type UpstreamAnswer,
  type UpstreamRequest,
  answerText,
  dropAnswer,
  kept,
} from "./upstream.ts";
import type { Incoming } from "./incoming.ts";

/** A request on its way to a worker. */
export interface Work {
  request: Incoming;
  exchange: Exchange;
  body: ReplayableBody;
  /** Present when the client asked for a WebSocket and the runtime can. */
  upgrade: Upgrade | undefined;
}

/**
 * `tunnel` where the client's connection can be handed on as it is; otherwise joins it with a WebSocket to the worker.
 */
export type Upgrade =
  | "tunnel"
  | ((target: { url: string; headers: Headers; protocols: readonly string[] }) => Promise<Response>);

/** Nothing of the request ran. */
export interface NotRun {
  why: SystemError | UserError;
  /** What was wrong with the route, for control. */
  failed?: NonNullable<ResolveRequest["failed"]>;
  /** It cannot be sent again all the same: its body is gone. */
  final?: boolean;
}

const OWNER_PATH = "/_manybase/owner";

/** What a try comes to. */
export type Outcome = Response | Answer | NotRun;

/** Fails with SystemError `worker_lost` when it may have run. */
export function tryWorker(proxy: TenantProxyState, route: Route, work: Work, told: Told<Outcome>): void {
  const { request, exchange, upgrade } = work;
  try {
    const target = targetOf(route);
    const unreachable = guard(proxy, route, target);
    if (unreachable !== undefined) {
      told.done(unreachable);
      return;
    }
    exchange.incarnation = target.grant.incarnation;
    const sent = new Sent(proxy, route, work, target, told);
    if (upgrade === undefined || upgrade === "tunnel") {
      sent.body = work.body.take();
      proxy.send(sent, sent);
    } else {
      const headers = new Headers([...sent.fields, ...parseFields(sent.lines, 0)]);
      sent.join(upgrade({ url: sent.origin + sent.path, headers, protocols: protocolsOf(request) }));
    }
  } catch (error) {
    told.failed(error);
  }
}

/** A try as it is sent, until it is known what became of it. */
class Sent extends Waiting implements UpstreamRequest, Told<UpstreamAnswer> {
  readonly stop = new Stop();
  readonly method: string;
  readonly path: string;
  readonly fields: Fields;
  readonly origin: string;
  readonly socket: boolean;
  body: UpstreamRequest["body"] = null;
  readonly #signed: Signed;
  readonly #proxy: TenantProxyState;
  readonly #route: Route;
  readonly #work: Work;
  readonly #target: Target;
  readonly #told: Told<Outcome>;

  constructor(proxy: TenantProxyState, route: Route, work: Work, target: Target, told: Told<Outcome>) {
    super();
    this.#proxy = proxy;
    this.#route = route;
    this.#work = work;
    this.#target = target;
    this.#told = told;
    const { request, exchange } = work;
    this.method = request.method;
    this.path = pathAndQueryOf(request);
    this.fields = requestFields(request, exchange, proxy.decodesBodies);
    this.#signed = proxy.grants.sign(target, this.method, this.path);
    this.origin = target.origin;
    this.socket = work.upgrade !== undefined;
    proxy.doubts.open(this);
  }

  get lines(): string {
    const { request, exchange } = this.#work;
    const lines = forwardedLines(request, exchange, this.#proxy.decodesBodies);
    return `${lines}${HEADERS.grant}: ${this.#signed.grant}\r\n`;
  }

  putLines(out: Outgoing): void {
    const { request, exchange } = this.#work;
    putForwarded(out, request, exchange, this.#proxy.decodesBodies);
    out.put(this.#signed.line);
  }

  done(upstream: UpstreamAnswer): void {
    const { request, exchange } = this.#work;
    const { status, fields } = upstream;
    this.#proxy.doubts.close(this);
    exchange.upstreamMs = performance.now() - this.sinceMs;
    this.#proxy.breakers.worked(this.#target.grant.incarnation);
    if (mayBeForUs(upstream)) {
      tellOf(this.#notRun(upstream), this.#told);
      return;
    }
    if (upstream.body instanceof ReadableStream) stopWith(request, this.stop);
    this.#told.done(new Answer(status, responseFields(fields), upstream.body, upstream.tunnel));
  }

  failed(cause: unknown): void {
    this.#proxy.doubts.close(this);
    try {
      this.#told.done(lost(this.#proxy, this.#route, this.#work, this.#target.grant, cause));
    } catch (error) {
      this.#told.failed(error);
    }
  }

  /** A WebSocket that the runtime joins. */
  join(joined: Promise<Response>): void {
    joined.then(
      (response) => {
        this.#proxy.doubts.close(this);
        this.#told.done(response);
      },
      (cause: unknown) => this.failed(cause),
    );
  }

  watch(): void {
    stopWith(this.#work.request, this.stop);
  }

  /**
   * A machine that lost its power says nothing. While an answer is awaited control is asked now and then; when the tenant has
   * another owner by then, the wait ends as a broken connection does.
   */
  ask(): void {
    const { grant } = this.#target;
    const { epoch, incarnation } = grant;
    this.#proxy.source.resolve(this.#route.slug, failedRoute(grant, "broken")).then(
      (now) => {
        if (now.epoch !== epoch || now.worker?.incarnation !== incarnation) {
          this.stop.stop(new Error("the tenant has another owner"));
        }
      },
      () => undefined,
    );
  }

  async #notRun(given: UpstreamAnswer): Promise<Outcome> {
    const { request, body } = this.#work;
    const route = this.#route;
    const { grant } = this.#target;
    const upstream = kept(given);
    const notRun = await readNotRun(route, grant, upstream);
    if (notRun !== undefined) return body.again ? notRun : { ...notRun, final: true };
    if (isOpen(upstream) && body.again && isRepeatable(request)) {
      await dropAnswer(upstream);
      return { why: leftOpen(route), failed: failedRoute(grant, "broken") };
    }
    if (upstream.body instanceof ReadableStream) stopWith(request, this.stop);
    return new Answer(upstream.status, responseFields(upstream.fields), upstream.body, upstream.tunnel);
  }
}

/** What cannot be sent twice goes only to a worker that has just said that the tenant is its own. */
export async function confirmOwner(
  proxy: TenantProxyState,
  route: Route,
  work: Work,
): Promise<NotRun | undefined> {
  const target = targetOf(route);
  const { grant, origin } = target;
  const unreachable = guard(proxy, route, target);
  if (unreachable !== undefined) return unreachable;
  const { stop, end } = stopAfter(limits.holdMsMax);
  try {
    const fields: Fields = [[HEADERS.grant, proxy.grants.sign(target, "GET", OWNER_PATH).grant]];
    const request = { origin, path: OWNER_PATH, method: "GET", fields, body: null, stop };
    const answer = await promised<UpstreamAnswer>((told) =>
      proxy.send(request, {
        done: (given) => told.done(kept(given)),
        failed: (error) => told.failed(error),
      }),
    );
    const notRun = await readNotRun(route, grant, answer);
    if (notRun === undefined) await dropAnswer(answer);
    return notRun;
  } catch (cause) {
    return lost(proxy, route, work, grant, cause, true);
  } finally {
    end();
  }
}

/**
 * It changes nothing, or runs once however often it is sent: the worker finds what it answered in the tenant's own database.
 */
function isRepeatable(request: Incoming): boolean {
  const { method, headers } = request;
  if (method === "GET" || method === "HEAD") return true;
  const key = headers.get(HEADERS.idempotencyKey);
  return key !== null && isRemembered(method, pathOf(request).pathname, key);
}

/** The worker ran it and lost the tenant, or the object store, before it knew whether what was seen or written stays. */
function isOpen({ status, fields }: UpstreamAnswer): boolean {
  return status === 503 && fields.some(([name]) => name === HEADERS.commitState);
}

function leftOpen({ slug }: Route): SystemError {
  return new SystemError(
    "commit_unknown",
    `Cannot answer for ${slug} now: its worker could not make sure that what it answered stays`,
    { retryAfterMs: 1000 },
  );
}

interface Target extends Granted {
  origin: string;
}

/** A route is never changed, so that what follows from it is worked out once. */
const targets = new WeakMap<Route, Target>();

function targetOf(route: Route): Target {
  const known = targets.get(route);
  if (known !== undefined) return known;
  const { worker, tenant, epoch } = route;
  if (worker === undefined) {
    throw new SystemError("no_worker", `Cannot serve ${route.slug}: no worker has it`, {
      retryAfterMs: 1000,
    });
  }
  const { incarnation, url } = worker;
  const target = { ...granted({ tenant, epoch: parseEpoch(epoch), incarnation }), origin: url };
  targets.set(route, target);
  return target;
}

function guard(proxy: TenantProxyState, route: Route, { grant }: Target): NotRun | undefined {
  if (proxy.breakers.admits(grant.incarnation)) return undefined;
  return { why: unreachable(route), failed: failedRoute(grant, "refused") };
}

/** @param safe the request may be sent twice whatever its method */
function lost(
  proxy: TenantProxyState,
  route: Route,
  { request, body }: Work,
  grant: Grant,
  cause: unknown,
  safe = false,
): NotRun {
  request.signal.throwIfAborted();
  if (body.trouble !== undefined) throw body.trouble;
  proxy.breakers.failed(grant.incarnation);
  const refused = wasRefused(cause);
  const repeats = isRepeatable(request);
  if (refused || repeats || safe) {
    return {
      why: unreachable(route, cause),
      failed: failedRoute(grant, refused ? "refused" : "broken"),
      final: !body.again && !safe && !repeats,
    };
  }
  throw new SystemError("worker_lost", "Cannot say whether this was kept: the worker was lost while it ran", {
    cause,
    hint: "Read before you send it again.",
  });
}

function mayBeForUs({ status }: UpstreamAnswer): boolean {
  return status === 421 || status === 401 || status === 503;
}

/** 421, or 503 with the header that says that nothing ran: the answer is for us, not for the client. */
async function readNotRun(route: Route, grant: Grant, upstream: UpstreamAnswer): Promise<NotRun | undefined> {
  if (upstream.status === 421) {
    await dropAnswer(upstream);
    const why = new SystemError(
      "tenant_moving",
      `Cannot serve ${route.slug} just now: it is changing its worker`,
      { retryAfterMs: 1000 },
    );
    return { why, failed: failedRoute(grant, "not_owner") };
  }
  if (upstream.status !== 401 && upstream.status !== 503) return undefined;
  if (upstream.fields.every(([name]) => name !== HEADERS.notRun)) return undefined;
  if (upstream.status === 401) {
    await dropAnswer(upstream);
    const why = new SystemError(
      "worker_unreachable",
      "Cannot serve: the worker does not take this gateway's key",
      {
        hint: "Give the gateway the key that control and the workers have (<data>/keys/gateway.key).",
      },
    );
    return { why, final: true };
  }
  const error = parseErrorBody(await answerText(upstream));
  return {
    why: new SystemError("worker_starting", error?.message ?? "Cannot serve just now", {
      retryAfterMs: 1000,
    }),
  };
}

/** When the client leaves. Asking a request for its signal costs much on some runtimes. */
function stopWith({ signal }: Incoming, stop: Stop): void {
  if (signal.aborted) stop.stop(signal.reason);
  else signal.addEventListener("abort", () => stop.stop(signal.reason), { once: true });
}

function unreachable({ slug }: Route, cause?: unknown): SystemError {
  return new SystemError("worker_unreachable", `Cannot reach the worker of ${slug}`, {
    cause,
    retryAfterMs: 1000,
  });
}

function failedRoute(
  { incarnation, epoch }: Grant,
  reason: "refused" | "broken" | "not_owner",
): NonNullable<ResolveRequest["failed"]> {
  return { incarnation, epoch, reason };
}

function protocolsOf(request: Incoming): string[] {
  const offered = request.headers.get("sec-websocket-protocol") ?? "";
  return offered
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

/** The connection was never made, so nothing was sent. Runtimes say it in words of their own, Deno's in the cause. */
function wasRefused(error: unknown): boolean {
  for (let one = error, depth = 0; one instanceof Error && depth < 4; one = one.cause, depth++) {
    const code = "code" in one ? one.code : undefined;
    if (code === "ConnectionRefused" || code === "ECONNREFUSED") return true;
    if (/client error \(Connect\)|connection refused|ECONNREFUSED/i.test(one.message)) return true;
  }
  return false;
}
