import { SystemError } from "../../shared/errors.ts";
import type { Epoch, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { LoadedTenants } from "../../shared/protocol/internal.ts";
import type { Tenant } from "../tenant/contract.ts";
import type { TenantHost } from "../tenant/host.ts";

/** One request inside a tenant, from the turn in which it got it until its answer has left. */
export interface Visit {
  readonly tenant: Tenant;
  end(): void;
}

/** A loaded tenant and who is in it. */
class Room {
  readonly tenant: Tenant;
  readonly loadedMs: number;
  readonly inside = new Set<Visit>();
  requests = 0;
  /** What the tenant does by itself: it is in use, and may be moved all the same. */
  jobs = 0;
  busyMs = 0;
  changedMs: number;
  readonly #watchers = new Set<() => void>();

  constructor(tenant: Tenant, nowMs: number) {
    this.tenant = tenant;
    this.loadedMs = nowMs;
    this.changedMs = nowMs;
  }

  enter(visit: Visit, nowMs: number): void {
    this.requests += 1;
    if (this.inside.size === 0) this.changedMs = nowMs;
    this.inside.add(visit);
  }

  leave(visit: Visit, nowMs: number): void {
    if (!this.inside.delete(visit)) return;
    if (this.inside.size === 0) {
      this.busyMs += nowMs - this.changedMs;
      this.changedMs = nowMs;
    }
    for (const watcher of this.#watchers) watcher();
  }

  /** @returns how to end it */
  work(nowMs: () => number): () => void {
    this.jobs += 1;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.jobs -= 1;
      if (this.inside.size === 0) this.changedMs = nowMs();
    };
  }

  /** Resolves when `left` holds, looked at whenever somebody leaves, or after `ms`. */
  until(left: () => boolean, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (left()) done();
      };
      const done = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#watchers.add(look);
      look();
    });
  }
}

/**
 * Counts the requests inside each tenant of one incarnation, so that a tenant leaves between requests and not in the middle of
 * one, and so that control learns which tenants nobody uses.
 */
export class Visitors {
  readonly #host: TenantHost;
  readonly #monotonicMs: () => number;
  readonly #rooms = new Map<TenantId, Room>();
  /** Tenants that let nobody in; resolves when that is over. */
  readonly #closed = new Map<TenantId, Promise<void>>();

  constructor(host: TenantHost, monotonicMs: () => number = () => performance.now()) {
    this.#host = host;
    this.#monotonicMs = monotonicMs;
  }

  /**
   * The tenant, loaded and entered in the same turn. Waits while it is closed.
   * @throws what `TenantHost.acquire` throws
   */
  enter(id: TenantId, epoch: Epoch): Visit | Promise<Visit> {
    if (this.#closed.has(id)) return this.#enterLater(id, epoch);
    const acquired = this.#host.acquire(id, epoch);
    return acquired instanceof Promise ? this.#enterLater(id, epoch, acquired) : this.#visit(acquired);
  }

  /** A job of the tenant's own runs: it is not idle until that is over. @returns how to end it */
  work(tenant: Tenant): () => void {
    return this.#room(tenant).work(this.#monotonicMs);
  }

  /** As `close`, for all loaded tenants at once: before this worker stops. */
  async closeAll(): Promise<{ open: () => void }> {
    const doors = await Promise.all([...this.#rooms.keys()].map((id) => this.close(id)));
    return { open: () => doors.forEach((door) => door.open()) };
  }

  /**
   * First waits for those who are inside now, while others still come in: an upload may take a while. Then lets nobody in and waits
   * for the rest. Both are bounded; `open` ends it.
   */
  async close(id: TenantId): Promise<{ open: () => void }> {
    const room = this.#rooms.get(id);
    const early = [...(room?.inside ?? [])];
    await room?.until(() => !early.some((visit) => room.inside.has(visit)), limits.releasePatienceMs);
    let open = (): void => undefined;
    const closed = new Promise<void>((resolve) => {
      open = () => {
        if (this.#closed.get(id) === closed) this.#closed.delete(id);
        resolve();
      };
    });
    this.#closed.set(id, closed);
    await room?.until(() => room.inside.size === 0, limits.releaseDrainMs);
    return { open };
  }

  list(): LoadedTenants {
    const nowMs = this.#monotonicMs();
    return [...this.#rooms].map(([tenant, room]) => ({
      tenant,
      epoch: room.tenant.epoch,
      idleMs: room.inside.size > 0 || room.jobs > 0 ? 0 : nowMs - room.changedMs,
      loadedMs: nowMs - room.loadedMs,
      requests: room.requests,
      busyMs: room.busyMs + (room.inside.size > 0 ? nowMs - room.changedMs : 0),
    }));
  }

  async #enterLater(id: TenantId, epoch: Epoch, acquired?: Promise<Tenant>): Promise<Visit> {
    let waiting: Promise<unknown> | undefined = acquired;
    for (let round = 0; round < limits.acquireRoundsMax; round++) {
      // What the host promises is bounded by itself.
      if (waiting !== undefined) await waiting;
      else await this.#opened(id);
      if (this.#closed.has(id)) {
        waiting = undefined;
        continue;
      }
      // Asked again after every wait: what was promised may have left since.
      const tenant = this.#host.acquire(id, epoch);
      if (!(tenant instanceof Promise)) return this.#visit(tenant);
      waiting = tenant;
    }
    throw new SystemError("tenant_moving", `Cannot serve tenant ${id} just now: it leaves again and again`, {
      retryAfterMs: 1_000,
    });
  }

  /** @throws SystemError `tenant_moving` when it does not open in time: the store is away, say */
  #opened(id: TenantId): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(
            new SystemError("tenant_moving", `Cannot serve tenant ${id} yet: it is leaving this worker`, {
              retryAfterMs: 1_000,
            }),
          ),
        limits.tenantLoadMsMax,
      );
      void (this.#closed.get(id) ?? Promise.resolve()).then(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #visit(tenant: Tenant): Visit {
    const entered = this.#room(tenant);
    const visit: Visit = {
      tenant,
      end: () => entered.leave(visit, this.#monotonicMs()),
    };
    entered.enter(visit, this.#monotonicMs());
    return visit;
  }

  #room(tenant: Tenant): Room {
    let room = this.#rooms.get(tenant.id);
    if (room?.tenant !== tenant) {
      room = this.#furnish(tenant);
      this.#rooms.set(tenant.id, room);
    }
    return room;
  }

  #furnish(tenant: Tenant): Room {
    const room = new Room(tenant, this.#monotonicMs());
    tenant.gone.addEventListener(
      "abort",
      () => {
        if (this.#rooms.get(tenant.id) === room) this.#rooms.delete(tenant.id);
      },
      { once: true },
    );
    return room;
  }
}
