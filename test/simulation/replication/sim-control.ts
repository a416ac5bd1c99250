import { assignmentOf } from "../../../control/domain/assignment.ts";
import { assignTenant } from "../../../control/domain/assign-tenant.ts";
import { Domain } from "../../../control/domain/domain-fixture.ts";
import { declareDead, drainWorker, exitWorker, recordSeal } from "../../../control/domain/end-worker.ts";
import { sealKey, tenantKey, workerKey } from "../../../control/domain/keys.ts";
import type { TenantRecord } from "../../../control/domain/records.ts";
import { applyReports, releaseTenants } from "../../../control/domain/report-tenants.ts";
import {
  beginTransfer,
  finishTransfer,
  giveBack,
  leaveSealedOwner,
} from "../../../control/domain/transfer-tenant.ts";
import type { Decision } from "../../../control/domain/view.ts";
import { serves } from "../../../control/domain/worker-states.ts";
import type { Epoch, Incarnation, LogSeq, TenantId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { sealLog } from "../../../shared/log/seal.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import type {
  Assignment,
  ExitRequest,
  ReleaseResponse,
  ReportRequest,
} from "../../../shared/protocol/internal.ts";
import type { Random } from "../random.ts";
import type { Coverage } from "./coverage.ts";
import { Actor, type Schedule } from "./schedule.ts";
import type { SimulatedStore } from "./sim-store.ts";
import { COUNTER } from "./state-judge.ts";
import type { StoreHistory } from "./store-history.ts";

export interface Route {
  tenant: TenantId;
  incarnation: Incarnation;
  epoch: Epoch;
}

/** How control reaches a worker. */
export type AskRelease = (
  from: Actor,
  incarnation: Incarnation,
  tenant: TenantId,
  epoch: Epoch,
) => Promise<ReleaseResponse>;

export interface ControlParts {
  schedule: Schedule;
  random: Random;
  coverage: Coverage;
  store: SimulatedStore;
  history: StoreHistory;
  askRelease: AskRelease;
}

/** What one leader keeps in memory. It ends with its term; what it still does in the object store may go on. */
interface Term {
  actor: Actor;
  store: ObjectStore;
  beats: Map<Incarnation, { atMs: number; seq: LogSeq }>;
  sealing: Set<Incarnation>;
  moving: Set<TenantId>;
}

/** The state is replicated and survives (the real domain's table and commands); leaders die and are frozen. */
export class SimulatedControl {
  readonly domain = new Domain();
  readonly #parts: ControlParts;
  readonly #sealers = new Map<Incarnation, number>();
  #term: Term | undefined;
  #terms = 0;
  #nonces = 0;

  constructor(parts: ControlParts) {
    this.#parts = parts;
    this.elect();
  }

  get actor(): Actor | undefined {
    return this.#term?.actor;
  }

  /** A new leader; the old one, should it still run, leads nothing any more. */
  elect(): void {
    const { schedule, store } = this.#parts;
    const actor = new Actor(`control${++this.#terms}`);
    const term: Term = {
      actor,
      store: store.as(actor),
      beats: new Map(),
      sealing: new Set(),
      moving: new Set(),
    };
    this.#term = term;
    for (const worker of this.domain.table.workers()) {
      term.beats.set(worker.incarnation, { atMs: schedule.nowMs, seq: 0 as LogSeq });
    }
    this.#tick(term);
  }

  /** @returns the sealers that died with it */
  depose(): number {
    const sealing = this.#term?.sealing.size ?? 0;
    this.#term = undefined;
    return sealing;
  }

  tenant(id: TenantId): TenantRecord {
    return this.domain.tenant(id);
  }

  owns(incarnation: Incarnation, id: TenantId, epoch: Epoch): boolean {
    const { owner, epoch: now } = this.tenant(id);
    return owner?.incarnation === incarnation && now === epoch;
  }

  register(nonce: string, replaces: Incarnation | undefined): Incarnation {
    const term = this.#leader();
    const incarnation = this.domain.register(nonce, replaces === undefined ? {} : { replaces });
    term.beats.set(incarnation, { atMs: this.#parts.schedule.nowMs, seq: 0 as LogSeq });
    return incarnation;
  }

  beat(incarnation: Incarnation, seq: LogSeq, draining: boolean): "live" | "dead" {
    const term = this.#leader();
    if (!serves(this.domain.table.get(workerKey(incarnation)))) return "dead";
    const known = term.beats.get(incarnation)?.seq ?? 0;
    term.beats.set(incarnation, { atMs: this.#parts.schedule.nowMs, seq: Math.max(known, seq) as LogSeq });
    if (draining) this.#run(term, drainWorker(this.domain.table, this.domain.meta(), incarnation));
    return "live";
  }

  assignment(incarnation: Incarnation, id: TenantId): Assignment | undefined {
    this.#leader();
    const tenant = this.tenant(id);
    return tenant.owner?.incarnation === incarnation ? assignmentOf(tenant, incarnation) : undefined;
  }

  report(incarnation: Incarnation, reports: ReportRequest["reports"]): void {
    this.#run(this.#leader(), applyReports(this.domain.table, this.domain.meta(), incarnation, reports));
  }

  exit(incarnation: Incarnation, { endSeq, released }: ExitRequest): void {
    const term = this.#leader();
    const { table } = this.domain;
    this.#parts.history.sealed(incarnation, endSeq);
    this.#run(term, exitWorker(table, this.domain.meta(), incarnation, endSeq));
    for (const { tenant, epoch, carried } of released) {
      if (this.owns(incarnation, tenant, epoch))
        this.#parts.history.states.released(tenant, epoch, carried?.[COUNTER]);
    }
    this.#run(term, releaseTenants(table, this.domain.meta(), incarnation, released));
  }

  /** @param gone - the caller found nobody at that incarnation's address, and control's own look agrees */
  resolve(id: TenantId, gone: Incarnation | undefined): Route | undefined {
    const term = this.#leader();
    const { table } = this.domain;
    if (gone !== undefined) this.#giveUp(term, gone, "gone");
    const tenant = this.tenant(id);
    const owner = tenant.owner?.incarnation;
    if (tenant.transfer !== undefined) return undefined;
    if (owner === undefined || !serves(table.get(workerKey(owner)))) {
      const decision = assignTenant(table, this.domain.meta(), id);
      if ("reject" in decision) return undefined;
      const before = tenant.tails.length;
      const next = this.#run(term, decision);
      if (next.tails.length > before && before > 0) this.#parts.coverage.add("double failovers");
    }
    const { owner: now, epoch } = this.tenant(id);
    return now === undefined ? undefined : { tenant: id, incarnation: now.incarnation, epoch };
  }

  /** Sends a tenant to another worker, or to nobody. */
  transfer(id: TenantId, to: Incarnation | undefined): void {
    const term = this.#term;
    if (term === undefined) return;
    const meta = this.domain.meta();
    const why = to === undefined ? "evict" : "move";
    const decision = beginTransfer(this.domain.table, {
      meta,
      id,
      why,
      ...(to === undefined ? {} : { to }),
    });
    if ("reject" in decision) this.#parts.schedule.note(`cannot ${why} ${id}: ${decision.reject.message}`);
    else this.#run(term, decision);
  }

  /** Somebody else seals a dead worker's log at the same time, knowing nothing. */
  sealBeside(incarnation: Incarnation, actor: Actor): void {
    this.#seal(incarnation, 0 as LogSeq, actor).catch(() => {});
  }

  /** Leases, sealers and transfers, a few times per beat. */
  #tick(term: Term): void {
    const { schedule } = this.#parts;
    schedule.at(term.actor, limits.beatMs / 2, "looks around", () => {
      if (this.#term !== term) return;
      for (const worker of [...this.domain.table.workers()]) {
        const beat = term.beats.get(worker.incarnation);
        if (serves(worker) && schedule.nowMs - (beat?.atMs ?? 0) > limits.leaseMs) {
          this.#giveUp(term, worker.incarnation, "silent");
        }
      }
      for (const worker of [...this.domain.table.workers()]) {
        if (worker.state === "dead" && !term.sealing.has(worker.incarnation)) {
          term.sealing.add(worker.incarnation);
          void this.#sealDead(term, worker.incarnation).finally(() =>
            term.sealing.delete(worker.incarnation),
          );
        }
      }
      for (const id of this.domain.table.moving()) {
        if (term.moving.has(id)) continue;
        term.moving.add(id);
        void this.#move(term, id).finally(() => term.moving.delete(id));
      }
      this.#tick(term);
    });
  }

  #giveUp(term: Term, incarnation: Incarnation, why: string): void {
    const seq = term.beats.get(incarnation)?.seq;
    this.#run(
      term,
      declareDead(this.domain.table, this.domain.meta(), incarnation, {
        why,
        ...(seq === undefined || seq === 0 ? {} : { seq }),
      }),
    );
  }

  async #sealDead(term: Term, incarnation: Incarnation): Promise<void> {
    const { table } = this.domain;
    let delayMs: number = limits.sealRetryMsMin;
    while (this.#term === term && table.get(workerKey(incarnation))?.state === "dead") {
      try {
        const known = table.get(sealKey(incarnation))?.endSeq;
        const from = table.get(workerKey(incarnation))?.seq ?? (0 as LogSeq);
        const end = known ?? (await this.#seal(incarnation, from, term.actor));
        this.#run(term, recordSeal(table, this.domain.meta(), incarnation, end));
        return;
      } catch {
        await this.#sleep(term.actor, delayMs);
        delayMs = Math.min(delayMs * 2, limits.sealRetryMsMax);
      }
    }
  }

  async #seal(incarnation: Incarnation, from: LogSeq, actor: Actor): Promise<LogSeq> {
    const { store, history, coverage } = this.#parts;
    const earlier = this.#sealers.get(incarnation) ?? 0;
    this.#sealers.set(incarnation, earlier + 1);
    coverage.add(earlier === 0 ? "seals" : "second sealers");
    const nonce = (0xc0000 + ++this.#nonces).toString(16).padStart(32, "5");
    const end = await sealLog({
      store: store.as(actor),
      incarnation,
      from,
      nonce,
      sleep: (ms) => this.#sleep(actor, ms),
    });
    history.sealed(incarnation, end);
    return end;
  }

  /** As control/moving/mover.ts does it. */
  async #move(term: Term, id: TenantId): Promise<void> {
    const { table } = this.domain;
    let failures = 0;
    while (this.#term === term) {
      const tenant = table.get(tenantKey(id));
      if (tenant?.transfer === undefined || tenant.owner === undefined) return;
      const { transfer, owner, epoch } = tenant;
      const meta = this.domain.meta();
      try {
        if (!serves(table.get(workerKey(owner.incarnation)))) {
          if (this.#run(term, leaveSealedOwner(table, meta, id, transfer.id))) return;
          await this.#sleep(term.actor, limits.releaseRetryMsMax);
          continue;
        }
        if (failures >= limits.releaseAttemptsMax) {
          if (this.#run(term, giveBack(table, meta, id, transfer.id, "it did not let go"))) {
            this.#parts.coverage.add("aborted moves");
            return;
          }
        }
        const { base, ...handed } = await this.#parts.askRelease(term.actor, owner.incarnation, id, epoch);
        const decision = finishTransfer(table, this.domain.meta(), id, transfer.id, base, handed);
        if (this.#run(term, decision) === undefined) return;
        if ("draft" in decision) this.#parts.history.states.released(id, epoch, handed.carried?.[COUNTER]);
        this.#parts.coverage.add(transfer.to === undefined ? "evictions" : "moves");
        return;
      } catch {
        failures++;
        await this.#sleep(
          term.actor,
          Math.min(limits.releaseRetryMsMin * 2 ** failures, limits.releaseRetryMsMax),
        );
      }
    }
  }

  /** A deposed leader's proposals are not committed. */
  #run<T>(term: Term, decision: Decision<T>): T {
    if (this.#term !== term) throw new Error("not the leader any more");
    return this.domain.run(decision);
  }

  #leader(): Term {
    if (this.#term === undefined) throw new Error("nobody leads");
    return this.#term;
  }

  #sleep(actor: Actor, ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.schedule.at(actor, ms * (0.5 + this.#parts.random.next() / 2), "sleeps", resolve);
    });
  }
}
