import { SystemError } from "../shared/errors.ts";
import type { Incarnation } from "../shared/ids.ts";
import { limits } from "../shared/limits.ts";
import type { ObjectStore } from "../shared/objects/contract.ts";
import type { ControlClient } from "./control-client/control-client.ts";
import { Lease } from "./control-client/lease.ts";
import type { Log } from "./log.ts";
import { SQL_FUNCTIONS } from "./query/functions.ts";
import { Departures } from "./member/departures.ts";
import { loadMeter } from "./member/load.ts";
import { Visitors } from "./member/visitors.ts";
import { type TenantHost, createTenantHost } from "./tenant/host.ts";
import type { Tenant } from "./tenant/contract.ts";
import { VERSION } from "../shared/version.ts";

export interface SessionOptions {
  control: ControlClient;
  store: ObjectStore;
  /** Tenants' files live below; see TenantHost. */
  directory: string;
  /** Where gateways and control reach this worker. */
  url: string;
  region?: string;
  bootstrap: (tenant: Tenant) => Promise<void>;
  log: Log;
  /** The incarnation that ran on this directory before and is known to be gone. */
  replaces?: Incarnation;
}

/**
 * One incarnation of a worker: registered, beating, serving. It ends by `stop` (clean) or when `over` fires: fenced by the
 * store or declared dead by control. What follows an end is a new session with a new incarnation, never the same one again.
 */
export interface Session {
  readonly incarnation: Incarnation;
  readonly host: TenantHost;
  /** Requests enter tenants through it. */
  readonly visitors: Visitors;
  /** How control lets tenants leave. */
  readonly departures: Departures;
  readonly over: AbortSignal;
  /** Refuses new tenants, drains, flushes, materialises, seals its own log, tells control. */
  stop(): Promise<void>;
  abandon(): void;
}

export async function startSession(options: SessionOptions, signal: AbortSignal): Promise<Session> {
  const { control, log } = options;
  const nonce = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("hex");
  const lease = new Lease();
  const registeredAt = lease.now();
  const registration = await retryWhileUnreachable(
    () =>
      control.register(
        {
          url: options.url,
          nonce,
          version: VERSION,
          nowMs: Date.now(),
          ...(options.replaces === undefined ? {} : { replaces: options.replaces }),
          ...(options.region === undefined ? {} : { region: options.region }),
        },
        signal,
      ),
    log,
    signal,
  );
  const { incarnation, leaseMs, beatMs } = registration;
  lease.renew(registeredAt, leaseMs);

  const host = createTenantHost({
    directory: options.directory,
    store: options.store,
    incarnation,
    nonce,
    bootstrap: options.bootstrap,
    sqlFunctions: SQL_FUNCTIONS,
    onError: (error, tenant) =>
      log.error({ tenant, error: error instanceof Error ? error.stack : String(error) }, "in the background"),
    control: {
      assignment: (tenant, abort) => control.assignment(incarnation, tenant, abort),
      report: (reports) => control.report(incarnation, reports),
      mayAnswer: () => lease.held,
    },
  });

  const visitors = new Visitors(host);
  const load = loadMeter();
  const dead = new AbortController();
  const over = AbortSignal.any([dead.signal, host.fenced]);
  let draining = false;
  const beats = beatUntil(over);
  log.info({ incarnation, url: options.url }, "registered");

  async function beatUntil(end: AbortSignal): Promise<void> {
    while (!end.aborted) {
      const sentMs = lease.now();
      try {
        const answer = await control.beat(
          incarnation,
          {
            seq: host.durableSeq,
            tenants: host.size,
            ...load(),
            draining,
          },
          AbortSignal.timeout(leaseMs),
        );
        if (answer.state === "dead")
          dead.abort(new SystemError("fenced", "Cannot go on: control declared this worker dead"));
        else lease.renew(sentMs, answer.leaseMs);
      } catch (error) {
        if (!end.aborted) log.warn({ error: String(error) }, "beat not acknowledged");
      }
      await sleep(Math.max(0, beatMs - (lease.now() - sentMs)), end);
    }
  }

  const abandon = (): void => {
    dead.abort(new SystemError("fenced", "Cannot go on: this worker was stopped"));
    host.abandon();
  };

  return {
    incarnation,
    host,
    visitors,
    departures: new Departures(host, visitors),
    over,
    abandon,
    async stop() {
      // Beats go on while it drains, so that nobody takes the tenants away in the middle.
      draining = true;
      const exit = await host.stop();
      dead.abort(new SystemError("fenced", "Cannot go on: this worker was stopped"));
      await beats;
      await control.exit(incarnation, exit);
      log.info({ incarnation, tenants: exit.released.length }, "left cleanly");
    },
  };
}

/** Waits for control to come up; anything but "unreachable" or "no leader" is the caller's to see. */
async function retryWhileUnreachable<T>(
  attempt: () => Promise<T>,
  log: Log,
  signal: AbortSignal,
): Promise<T> {
  for (
    let delayMs: number = limits.restartDelayMsMin;
    ;
    delayMs = Math.min(delayMs * 2, limits.controlRetryMsMax)
  ) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      const passing =
        error instanceof SystemError &&
        (error.code === "control_unreachable" || error.code === "control_no_leader");
      if (!passing) throw error;
      log.warn({ error: error.message }, "waiting for control");
      await sleep(delayMs * (0.5 + Math.random() / 2), signal);
    }
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}
