import type { Epoch, Incarnation, LogSeq, TenantId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { Tail } from "../../../shared/protocol/internal.ts";
import type { Coverage } from "./coverage.ts";
import { markOf } from "./seal-judge.ts";
import { Violation } from "./violation.ts";

/** What simulated tenants carry. */
export const COUNTER = "counter";

/** A tenant at one worker under one epoch, and what it counted there. */
interface Ownership {
  epoch: Epoch;
  incarnation: Incarnation;
  given: string | undefined;
  counted: { text: string; atMs: number }[];
  /** The worker has let go of it. */
  leftMs?: number;
  /** Control has heard its release, and with it this. */
  released?: { text: string | undefined };
}

export interface StateLoad {
  tenant: TenantId;
  epoch: Epoch;
  incarnation: Incarnation;
  given: string | undefined;
  /** Those that control names, or undefined when somebody else owns the tenant by now. */
  tails: readonly Tail[] | undefined;
  /** The worker said that it could not read them. */
  excused: boolean;
}

/** Knows what each owner of a tenant counted and when, and so how old its next owner may find that. */
export class StateJudge {
  readonly #coverage: Coverage;
  readonly #nowMs: () => number;
  readonly #ownerships = new Map<TenantId, Ownership[]>();
  /** When objects came into their slots. */
  readonly #slotMs = new Map<string, number>();
  #counted = 0;

  constructor(coverage: Coverage, nowMs: () => number) {
    this.#coverage = coverage;
    this.#nowMs = nowMs;
  }

  logged(incarnation: Incarnation, seq: LogSeq): void {
    this.#slotMs.set(`${incarnation}/${seq}`, this.#nowMs());
  }

  /** The owner counts. @returns what it is to save now */
  count(tenant: TenantId, epoch: Epoch, incarnation: Incarnation): string {
    const text = `${markOf(tenant)} ${++this.#counted}`;
    this.#find(tenant, epoch, incarnation)?.counted.push({ text, atMs: this.#nowMs() });
    return text;
  }

  left(tenant: TenantId, epoch: Epoch, incarnation: Incarnation): void {
    const left = this.#find(tenant, epoch, incarnation);
    if (left !== undefined) left.leftMs ??= this.#nowMs();
  }

  released(tenant: TenantId, epoch: Epoch, text: string | undefined): void {
    const left = this.#of(tenant).find((one) => one.epoch === epoch);
    if (left !== undefined) left.released = { text };
  }

  loaded({ tenant, epoch, incarnation, given, tails, excused }: StateLoad): void {
    const all = this.#of(tenant);
    const again = this.#find(tenant, epoch, incarnation);
    if (again !== undefined) {
      const last = again.counted.at(-1)?.text ?? again.given;
      if (given !== last) throw new Violation(`${tenant} at ${incarnation} counted ${last}, then ${given}`);
      this.#coverage.add("counters resumed by the same worker");
      return;
    }
    const before = all.filter((one) => one.epoch < epoch).toSorted((a, b) => a.epoch - b.epoch);
    all.push({ epoch, incarnation, given, counted: [] });
    const last = before.at(-1);
    if (tails === undefined || last === undefined) return;
    if (given !== undefined && !known(before).includes(given)) {
      throw new Violation(
        `${tenant} of epoch ${epoch} goes on from ${given}, which its owner before never had`,
      );
    }
    const least = this.#least(last, tails);
    if (least === undefined || excused) return;
    const ages = [last.given, ...last.counted.map(({ text }) => text)];
    if (given === undefined || ages.lastIndexOf(given) < ages.indexOf(least)) {
      throw new Violation(`${tenant} of epoch ${epoch} goes on from ${given}, older than ${least}`);
    }
    this.#coverage.add(
      last.released === undefined ? "counters after a failover" : "counters after a release",
    );
  }

  /** The oldest value that its next owner may find. */
  #least(
    { incarnation, epoch, leftMs, released, counted }: Ownership,
    tails: readonly Tail[],
  ): string | undefined {
    if (released !== undefined) return released.text;
    // Control has not heard of it for so long that the slot of the release may be gone.
    if (leftMs !== undefined && this.#nowMs() - leftMs > limits.logTruncateAfterMs) return undefined;
    const tail = tails.find((one) => one.incarnation === incarnation && one.epoch === epoch);
    if (tail === undefined) return undefined;
    // Its last object was made after the one before it was in its slot.
    const madeMs = this.#slotMs.get(`${incarnation}/${tail.endSeq - 2}`) ?? -Infinity;
    return counted.findLast(({ atMs }) => atMs < madeMs - limits.stateEveryMs)?.text;
  }

  #find(tenant: TenantId, epoch: Epoch, incarnation: Incarnation): Ownership | undefined {
    return this.#of(tenant).find((one) => one.epoch === epoch && one.incarnation === incarnation);
  }

  #of(tenant: TenantId): Ownership[] {
    const known = this.#ownerships.get(tenant) ?? [];
    this.#ownerships.set(tenant, known);
    return known;
  }
}

/** What the newest of them had, and what stood before it if it began with nothing. */
function known(ownerships: readonly Ownership[]): (string | undefined)[] {
  const last = ownerships.at(-1);
  if (last === undefined) return [];
  const own = last.counted.map(({ text }) => text);
  return last.given === undefined ? [...known(ownerships.slice(0, -1)), ...own] : [last.given, ...own];
}
