import type { TenantId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { Coverage } from "./coverage.ts";
import { Violation } from "./violation.ts";

/** The newest row of a tenant: its number, and a hash over it and all rows before it. So one state tells its whole history. */
export interface State {
  id: number;
  chain: number;
}

export const EMPTY: State = { id: 0, chain: 0 };
/** An import starts numbers anew far above all others: what was before it is gone, rightly. */
export const IMPORT_STEP = 1_000_000;

export function nextChain(chain: number, op: number): number {
  return Number(Bun.hash.wyhash(`${chain}:${op}`) & 0xf_ffff_ffff_ffffn);
}

interface AsyncWrite {
  op: number;
  /** Which loading of the tenant by which worker. */
  instance: object;
  committedMs: number;
  acknowledgedMs: number;
}

/** What has left the platform, and so must hold for ever. */
export class Expectations {
  readonly #coverage: Coverage;
  readonly #exposed = new Map<TenantId, { newest: State; by: string; all: Map<number, number> }>();
  readonly #acknowledged = new Map<TenantId, Set<number>>();
  readonly #async = new Map<TenantId, AsyncWrite[]>();

  constructor(coverage: Coverage) {
    this.#coverage = coverage;
  }

  /** Somebody outside was shown this state of a durable tenant. */
  exposed(tenant: TenantId, state: State, by: string): void {
    if (state.id === 0) return;
    let known = this.#exposed.get(tenant);
    if (known === undefined) {
      known = { newest: EMPTY, by, all: new Map() };
      this.#exposed.set(tenant, known);
    }
    const before = known.all.get(state.id);
    if (before !== undefined && before !== state.chain) {
      throw new Violation(`${by} shows another row ${state.id} of ${tenant} than was shown before`);
    }
    known.all.set(state.id, state.chain);
    if (state.id <= known.newest.id) return;
    known.newest = state;
    known.by = by;
  }

  acknowledged(tenant: TenantId, op: number): void {
    const ops = this.#acknowledged.get(tenant) ?? new Set();
    this.#acknowledged.set(tenant, ops.add(op));
  }

  acknowledgedAsync(tenant: TenantId, write: AsyncWrite): void {
    const writes = this.#async.get(tenant) ?? [];
    this.#async.set(tenant, writes);
    writes.push(write);
  }

  /** What the owner of a durable tenant has loaded: everything that was shown is in it. `chainOf` looks a row up. */
  loaded(tenant: TenantId, first: number, chainOf: (id: number) => number | undefined, whose: string): void {
    const newest = this.#exposed.get(tenant)?.newest ?? EMPTY;
    if (newest.id === 0 || (first > newest.id && first >= IMPORT_STEP)) return;
    const chain = chainOf(newest.id);
    if (chain === newest.chain) return;
    throw new Violation(
      `${whose} has lost row ${newest.id} of ${tenant}, which was shown by ${this.#exposed.get(tenant)?.by}: ${chain === undefined ? "there is none" : "it is another"}`,
    );
  }

  /** At the end. `ops` are all writes that are in the database, `first` is its first row. */
  finally(tenant: TenantId, ops: ReadonlySet<number>, imported: boolean): void {
    if (imported) return;
    for (const op of this.#acknowledged.get(tenant) ?? []) {
      if (!ops.has(op)) throw new Violation(`write ${op} of ${tenant} was acknowledged and is lost`);
    }
    const lost = new Map<object, { from: number; to: number; ops: number[] }>();
    for (const { op, instance, committedMs, acknowledgedMs } of this.#async.get(tenant) ?? []) {
      if (ops.has(op)) continue;
      this.#coverage.add("async writes lost within the bound");
      const span = lost.get(instance) ?? { from: committedMs, to: acknowledgedMs, ops: [] };
      span.ops.push(op);
      span.from = Math.min(span.from, committedMs);
      span.to = Math.max(span.to, acknowledgedMs);
      lost.set(instance, span);
    }
    for (const { from, to, ops } of lost.values()) {
      if (to - from <= limits.asyncLagMsMax) continue;
      throw new Violation(
        `async ${tenant} lost acknowledged writes ${ops.join(", ")} of ${(to - from).toFixed(0)} ms, more than ${limits.asyncLagMsMax}`,
      );
    }
  }
}
