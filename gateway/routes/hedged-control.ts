import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { InternalClient } from "../../shared/protocol/internal-client.ts";
import {
  type FindRequest,
  type ResolveRequest,
  type Route,
  routeSchema,
} from "../../shared/protocol/internal.ts";
import type { Keyring } from "../../shared/protocol/keys.ts";

export interface ControlOptions {
  /** Base URLs of control's replicas, separated by commas. */
  controlUrl: string;
  keys: Keyring;
  fetch?: typeof fetch;
}

/**
 * Control's replicas as one. A question goes to the one that answered last; when it fails or takes its time, the next one is asked
 * too, and the first answer counts. Each may be asked twice: a lost connection loses a question, and the next has a new one.
 */
export class HedgedControl {
  readonly #clients: readonly InternalClient[];
  #preferred = 0;

  constructor({ controlUrl, keys, fetch }: ControlOptions) {
    this.#clients = urlsOf(controlUrl).map(
      (url) =>
        new InternalClient({
          url,
          keys,
          timeoutMs: limits.routeWaitMsMax + limits.controlRequestMs,
          ...(fetch === undefined ? {} : { fetch }),
        }),
    );
  }

  /** The one that answered last. */
  get current(): InternalClient {
    const client = this.#clients[this.#preferred];
    if (client === undefined) throw new SystemError("control_unreachable", "Cannot ask control: no address");
    return client;
  }

  /** The current one failed: the next one's turn. */
  turn(): void {
    this.#preferred = (this.#preferred + 1) % this.#clients.length;
  }

  /** @throws the first error that another replica would give as well, or the last one when none answered */
  resolve(request: ResolveRequest): Promise<Route> {
    return this.#ask("/v1/routes/resolve", request);
  }

  /** Whose a name is, without a worker being assigned. @throws as `resolve` */
  find(request: FindRequest): Promise<Route> {
    return this.#ask("/v1/routes/find", request);
  }

  #ask(path: string, request: ResolveRequest | FindRequest): Promise<Route> {
    const order = this.#order();
    const settled = new AbortController();
    return new Promise((resolve, reject) => {
      let asked = 0;
      let open = 0;
      const finish = (): void => {
        clearInterval(timer);
        settled.abort();
      };
      const ask = (): void => {
        const index = order[asked];
        const client = index === undefined ? undefined : this.#clients[index];
        if (index === undefined || client === undefined) return;
        asked += 1;
        open += 1;
        client.call("POST", path, routeSchema, request, settled.signal).then(
          (route) => {
            finish();
            this.#preferred = index;
            resolve(route);
          },
          (error: unknown) => {
            open -= 1;
            const elsewhere = error instanceof SystemError && error.code.startsWith("control_");
            if (elsewhere && asked < order.length) {
              ask();
            } else if (!elsewhere || open === 0) {
              finish();
              reject(error instanceof Error ? error : new Error(String(error)));
            }
          },
        );
      };
      const timer = setInterval(ask, limits.routeHedgeMs);
      ask();
    });
  }

  #order(): number[] {
    const order = this.#clients.map((_, i) => (this.#preferred + i) % this.#clients.length);
    return [...order, ...order];
  }
}

export function urlsOf(list: string): string[] {
  return list
    .split(",")
    .map((url) => url.trim().replace(/\/$/, ""))
    .filter((url) => url !== "");
}
