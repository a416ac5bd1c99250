import { SystemError } from "../shared/errors.ts";
import type { Incarnation } from "../shared/ids.ts";
import { limits } from "../shared/limits.ts";
import type { ObjectStore } from "../shared/objects/contract.ts";
import type { Keyring } from "../shared/protocol/keys.ts";
import type { ControlClient } from "./control-client/control-client.ts";
import { startBeats } from "./control-client/beats.ts";
import { Lease } from "./control-client/lease.ts";
import { sharedFacts } from "./control-client/shared-facts.ts";
import type { KeyProvider } from "./encryption/key-provider.ts";
import type { Log } from "./log.ts";
import { namedUploadsCounted } from "./pb/records/upload-sizes.ts";
import { SQL_FUNCTIONS } from "./query/functions.ts";
import { Departures } from "./member/departures.ts";
import { Visitors } from "./member/visitors.ts";
import type { AsyncLag } from "./replication/gate.ts";
import type { ReplicationObserver } from "./replication/observer.ts";
import { type TenantHost, createTenantHost } from "./tenant/host.ts";
import type { Tenant } from "./tenant/contract.ts";
import { VERSION } from "../shared/version.ts";

export interface SessionOptions {
  control: ControlClient;
  /** The same control and keys, for the thread that beats. */
  beats: { url: string; keys: Keyring };
  store: ObjectStore;
  /** Tenants' files live below; see TenantHost. */
  directory: string;
  /** Where gateways and control reach this worker. */
  url: string;
  region?: string;
  bootstrap: (tenant: Tenant) => Promise<void>;
  /** Unwraps data keys; without it encrypted tenants are refused. */
  keyProvider?: KeyProvider | undefined;
  log: Log;
  observer?: ReplicationObserver;
  asyncLag?: AsyncLag;
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
  /** The machine's clock is too far off: `stop` it while that still can be done cleanly. */
  readonly drifted: AbortSignal;
  /** Refuses new tenants, drains, flushes, materialises, seals its own log, tells control. */
  stop(): Promise<void>;
  abandon(): void;
}

export async function startSession(options: SessionOptions, signal: AbortSignal): Promise<Session> {
  const { control, log } = options;
  const nonce = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("hex");
  const facts = sharedFacts();
  const lease = new Lease(undefined, facts.leaseUntilMs);
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
    keyProvider: options.keyProvider,
    sqlFunctions: SQL_FUNCTIONS,
    namedUploads: namedUploadsCounted,
    ...(options.observer === undefined ? {} : { observer: options.observer }),
    ...(options.asyncLag === undefined ? {} : { asyncLag: options.asyncLag }),
    onError: (error, tenant) =>
      log.error({ tenant, error: error instanceof Error ? error.stack : String(error) }, "in the background"),
    control: {
      assignment: (tenant, abort) => control.assignment(incarnation, tenant, abort),
      report: (reports) => control.report(incarnation, reports),
      mayAnswer: () => lease.held,
    },
  });

  const visitors = new Visitors(host);
  const ended = new AbortController();
  let draining = false;
  const beats = startBeats({
    ...options.beats,
    facts,
    lease,
    incarnation,
    leaseMs,
    beatMs,
    state: () => ({ durableSeq: host.durableSeq, tenants: host.size, draining }),
  });
  const over = AbortSignal.any([ended.signal, beats.dead, host.fenced]);
  // Whatever ends this incarnation, it renews nothing any more.
  over.addEventListener("abort", () => void beats.stop(), { once: true });
  log.info({ incarnation, url: options.url }, "registered");

  const abandon = (): void => {
    ended.abort(new SystemError("fenced", "Cannot go on: this worker was stopped"));
    host.abandon();
  };

  return {
    incarnation,
    host,
    visitors,
    departures: new Departures(host, visitors),
    over,
    drifted: beats.drifted,
    abandon,
    async stop() {
      // Beats go on while it drains, so that nobody takes the tenants away in the middle.
      draining = true;
      const doors = await visitors.closeAll();
      const exit = await host.stop().finally(() => doors.open());
      ended.abort(new SystemError("fenced", "Cannot go on: this worker was stopped"));
      await beats.stop();
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
