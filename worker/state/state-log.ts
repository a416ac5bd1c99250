import { SystemError } from "../../shared/errors.ts";
import type { Epoch, LogSeq, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { logEntryBytes } from "../../shared/log/encode.ts";
import type { StateEntry } from "../../shared/log/log.ts";
import { encodeState } from "../../shared/log/state.ts";
import type { EntryCiphers } from "../encryption/entry-ciphers.ts";
import type { Clock } from "../replication/clock.ts";
import type { LogGroup, LogPlace } from "../replication/log-writer.ts";
import type { CarriedValues } from "./carried-values.ts";

/** A loaded tenant, as far as its small values go. */
export interface StateOwner {
  readonly id: TenantId;
  readonly epoch: Epoch;
  readonly carried: Pick<CarriedValues, "collect">;
  effectFailed(error: unknown): void;
}

export interface StateLogOptions {
  clock: Clock;
  ciphers: Pick<EntryCiphers, "sealState">;
  /** Something is worth an object of its own. */
  request: () => void;
}

/**
 * What goes into the log as STATE: the values of tenants that have changed them, at most one batch a second, in an object that is
 * written anyway or, when none is for a second, alone. See DESIGN.md.
 */
export class StateLog {
  readonly #options: StateLogOptions;
  /** Changed since they were taken last, who has waited longest first. */
  readonly #waiting = new Map<TenantId, StateOwner>();
  /** Where the newest STATE of each tenant stands, oldest slot first: until its values are repeated a recovery must look there. */
  readonly #logged = new Map<TenantId, { owner: StateOwner; seq: LogSeq }>();
  readonly #left = new WeakSet<StateOwner>();
  #nextMs = -Infinity;
  #isDue = false;
  #cancelDue: (() => void) | undefined;
  #closed = false;

  constructor(options: StateLogOptions) {
    this.#options = options;
  }

  /** Cheap: called with each try that is counted. */
  changed(owner: StateOwner): void {
    if (this.#waiting.get(owner.id) === owner || this.#left.has(owner) || this.#closed) return;
    this.#waiting.set(owner.id, owner);
    this.#arm();
  }

  /** It has come. Control forgets what it handed over, and what stands in the log may be of an epoch before. */
  loaded(owner: StateOwner): void {
    const hasValues = owner.carried.collect().carried !== undefined;
    if (hasValues || this.#logged.has(owner.id)) this.changed(owner);
  }

  /** It has left: its values are its next owner's. */
  forget(owner: StateOwner): void {
    this.#left.add(owner);
    this.#waiting.delete(owner.id);
    this.#logged.delete(owner.id);
  }

  /** The oldest slot with values that may still count. */
  oldestNeeded(): LogSeq | undefined {
    for (const { seq } of this.#logged.values()) return seq;
    return undefined;
  }

  /** What may go into the object for this place; undefined when nothing needs to. */
  take({ seq, bytesMax, alone }: LogPlace): LogGroup | undefined {
    const nowMs = this.#options.clock.monotonicMs();
    // A recovery does not look below the newest DIRECTORY.
    const repeats = seq % limits.logDirectoryEvery === 0;
    if (alone ? !this.#isDue : !repeats && nowMs < this.#nextMs) return undefined;
    if (repeats) {
      for (const [id, { owner }] of this.#logged) if (!this.#waiting.has(id)) this.#waiting.set(id, owner);
    }
    const { entries, owners, bytes } = this.#batch(Math.min(bytesMax, limits.stateBatchBytesMax));
    this.#isDue = false;
    this.#cancelDue?.();
    this.#cancelDue = undefined;
    if (this.#waiting.size > 0) this.#arm();
    if (entries.length === 0) return undefined;
    this.#nextMs = nowMs + limits.stateEveryMs;
    return { entries, bytes, durable: (at) => this.#durable(at, owners) };
  }

  /** Its values as they are, to stand beside its RELEASE. */
  last(owner: StateOwner): StateEntry | undefined {
    return this.#entry(owner)?.entry;
  }

  close(): void {
    this.#closed = true;
    this.#cancelDue?.();
    this.#waiting.clear();
    this.#logged.clear();
  }

  #arm(): void {
    if (this.#isDue || this.#closed) return;
    this.#cancelDue ??= this.#options.clock.after(limits.stateEveryMs, () => {
      this.#cancelDue = undefined;
      this.#isDue = true;
      this.#options.request();
    });
  }

  #batch(bytesMax: number): { entries: StateEntry[]; owners: Map<StateOwner, boolean>; bytes: number } {
    const entries: StateEntry[] = [];
    const owners = new Map<StateOwner, boolean>();
    let bytes = 0;
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + limits.stateBatchMsMax;
    for (const [id, owner] of this.#waiting) {
      // Others' commits wait for this object.
      if (clock.monotonicMs() > untilMs) break;
      const made = this.#entry(owner);
      if (made !== undefined) {
        const more = logEntryBytes(made.entry);
        if (bytes + more > bytesMax) break;
        bytes += more;
        entries.push(made.entry);
        owners.set(owner, made.isEmpty);
      }
      this.#waiting.delete(id);
    }
    return { entries, owners, bytes };
  }

  /** @returns undefined when there is nothing to say, or it cannot be said: nobody may suffer from that */
  #entry(owner: StateOwner): { entry: StateEntry; isEmpty: boolean } | undefined {
    const { id: tenant, epoch } = owner;
    try {
      const { carried } = owner.carried.collect();
      // No values are worth an entry only where others would be found in their place.
      if (carried === undefined && !this.#logged.has(tenant)) return undefined;
      const body = encodeState(carried ?? {});
      const sealed = this.#options.ciphers.sealState({ tenant, epoch }, body);
      const facts = { kind: "state" as const, tenant, epoch };
      const entry =
        sealed === undefined ? { ...facts, body } : { ...facts, body: sealed, encrypted: true as const };
      return { entry, isEmpty: carried === undefined };
    } catch (cause) {
      owner.effectFailed(
        new SystemError("internal", `Cannot log the counters of tenant ${tenant}: they could not be read`, {
          hint: "Should this worker die, they start anew. Nothing else is missing.",
          cause,
        }),
      );
      return undefined;
    }
  }

  #durable(seq: LogSeq, owners: ReadonlyMap<StateOwner, boolean>): void {
    for (const [owner, isEmpty] of owners) {
      if (this.#left.has(owner) || this.#closed) continue;
      this.#logged.delete(owner.id);
      if (!isEmpty) this.#logged.set(owner.id, { owner, seq });
    }
  }
}
