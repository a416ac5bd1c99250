import { LRUCache } from "lru-cache";
import type { Epoch, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ReleaseResponse } from "../../shared/protocol/internal.ts";
import type { TenantHost } from "../tenant/host.ts";
import type { Visitors } from "./visitors.ts";

interface Departure {
  epoch: Epoch;
  answer: Promise<ReleaseResponse>;
}

/**
 * Lets tenants leave one incarnation. Control may ask again when it did not hear the answer (it died, the connection broke): the
 * same tenant at the same epoch has left once and for all, and the answer is remembered.
 */
export class Departures {
  readonly #host: TenantHost;
  readonly #visitors: Visitors;
  readonly #departures = new LRUCache<TenantId, Departure>({ max: limits.releasesRemembered });

  constructor(host: TenantHost, visitors: Visitors) {
    this.#host = host;
    this.#visitors = visitors;
  }

  /**
   * Drains, logs RELEASE, materialises, drops. A tenant that is not loaded is loaded first: its entries in this worker's log are
   * not under its prefix before that.
   *
   * @throws UserError `not_owner`; what `TenantHost.release` and a load throw, and then the tenant has not left
   */
  release(id: TenantId, epoch: Epoch): Promise<ReleaseResponse> {
    const before = this.#departures.get(id);
    if (before?.epoch === epoch) return before.answer;
    const answer = this.#release(id, epoch);
    const departure = { epoch, answer };
    this.#departures.set(id, departure);
    answer.catch(() => {
      if (this.#departures.peek(id) === departure) this.#departures.delete(id);
    });
    return answer;
  }

  async #release(id: TenantId, epoch: Epoch): Promise<ReleaseResponse> {
    // Before anyone is kept out: another epoch's tenant is none of this call's business.
    await this.#host.acquire(id, epoch);
    const door = await this.#visitors.close(id);
    try {
      for (;;) {
        const acquired = this.#host.acquire(id, epoch);
        // In the turn in which it is here at this epoch, so that no other ownership can be released by mistake.
        if (!(acquired instanceof Promise)) {
          const base = await this.#host.release(id);
          return { base, dueMs: acquired.dueMs ?? null, ...this.#host.carriedBy(acquired) };
        }
        await acquired;
      }
    } finally {
      door.open();
    }
  }
}
