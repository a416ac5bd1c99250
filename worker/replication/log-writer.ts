import { SystemError } from "../../shared/errors.ts";
import type { Incarnation, LogSeq } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { decodeLogHeader } from "../../shared/log/decode.ts";
import { LOG_OVERHEAD_BYTES, encodeIndexedLogObject } from "../../shared/log/encode.ts";
import {
  LOG_HEADER_BYTES,
  type DirectoryDatabase,
  type LogEntry,
  type LogFooter,
  type LogIndexItem,
  lowWatermarkMax,
} from "../../shared/log/log.ts";
import type { ObjectStore, PutOutcome } from "../../shared/objects/contract.ts";
import { logKey } from "../../shared/objects/layout.ts";
import type { Clock } from "./clock.ts";
import type { ReplicationObserver } from "./observer.ts";
import { RecoveryIndex } from "./recovery-index.ts";
import { type PutEffect, PutMachine } from "./put-machine.ts";

/** Entries that must stand in one object, e.g. all that one turn committed to a tenant's databases. */
export interface LogGroup {
  entries: readonly LogEntry[];
  /** What they take in an object, at most `logGroupBytesMax`. */
  bytes: number;
  /** Called in the order of the log; everything before is durable too. `items`: where each of `entries` stands in `object`. */
  durable(seq: LogSeq, items: readonly LogIndexItem[], object: Uint8Array): void;
}

/** An object that is about to be made, as far as it concerns what nobody waits for. */
export interface LogPlace {
  seq: LogSeq;
  /** Room that is left. */
  bytesMax: number;
  /** Nothing else makes this object necessary. */
  alone: boolean;
}

export interface LogSource {
  /** The next group for the object that is being made; undefined when there is nothing. */
  take(): LogGroup | undefined;
  /** What nobody waits for may ride along, after all else. */
  passengers?(place: LogPlace): LogGroup | undefined;
  /** The oldest slot that is still needed to load a tenant; undefined when none is. */
  oldestNeeded(): LogSeq | undefined;
  /** All durable entries of this log that a load would need, for a DIRECTORY. */
  pendingEntries?(): readonly DirectoryDatabase[];
}

export interface LogWriterOptions {
  store: ObjectStore;
  incarnation: Incarnation;
  /** 32 lower-case hex digits: tells our objects from those of anybody else who writes to this log. */
  nonce: string;
  clock: Clock;
  source: LogSource;
  observer?: Pick<ReplicationObserver, "flushed"> | undefined;
  /** An object that says so is durable: slots below this one are needed by nobody. */
  onWatermark?(below: LogSeq): void;
  /** Someone else's object is in our log: nothing may be acknowledged any more. Called at most once. */
  onFenced(): void;
}

/** A group of at most one inline entry's bytes, and what names and small entries take. */
export const logGroupBytesMax = limits.logInlineEntryBytesMax + 64 * 1024;

interface UnderWay {
  seq: LogSeq;
  kind: "entries" | "seal";
  bytes: Uint8Array;
  groups: LogGroup[];
  footer: LogFooter;
  /** Entries of the recovery index before those of the groups. */
  indexEntries: number;
}

/**
 * Writes one incarnation's commit log: one object under way, slots without holes, acknowledgement in log order. What comes in
 * meanwhile is collected for the next object (replication.md §3).
 */
export class LogWriter {
  readonly #options: LogWriterOptions;
  readonly #machine: PutMachine;
  #nextSeq = 1 as LogSeq;
  #durableSeq = 0 as LogSeq;
  #provenMs = -Infinity;
  #underWay: UnderWay | undefined;
  #gathering = false;
  #requests = 0;
  #ended = false;
  #cancelTick: (() => void) | undefined;
  readonly #attempts = new Set<AbortController>();
  readonly #recovery = new RecoveryIndex();
  #proofs: { wantedMs: number; resolve: () => void; reject: (error: SystemError) => void }[] = [];
  #sealing: { resolve: (seq: LogSeq) => void; reject: (error: SystemError) => void } | undefined;
  readonly counters = { puts: 0, objects: 0, bytes: 0, retries: 0, looks: 0, putMs: 0, entries: 0 };

  constructor(options: LogWriterOptions) {
    this.#options = options;
    this.#machine = new PutMachine(() => options.clock.random());
  }

  get durableSeq(): LogSeq {
    return this.#durableSeq;
  }

  /** Monotonic send time of the newest PUT that succeeded. */
  get provenMs(): number {
    return this.#provenMs;
  }

  outstandingMs(): number {
    const startedMs = this.#machine.startedMs;
    return startedMs === undefined ? 0 : this.#options.clock.monotonicMs() - startedMs;
  }

  /** The source has something. It goes out soon, or soon after the object under way is in its slot. */
  request(): void {
    this.#requests++;
    if (!this.#gathering && !this.#ended && this.#machine.idle) this.#gather();
  }

  /** Resolves when a PUT that starts from now on has succeeded: then nobody had sealed this log when this was called. */
  prove(): Promise<void> {
    if (this.#ended) return Promise.reject(fencedError());
    return new Promise((resolve, reject) => {
      this.#proofs.push({ wantedMs: this.#options.clock.monotonicMs(), resolve, reject });
      this.request();
    });
  }

  /** Ends the log after what the source still has. @returns the slot of the SEAL @throws SystemError `fenced` */
  seal(): Promise<LogSeq> {
    if (this.#ended) return Promise.reject(fencedError());
    return new Promise((resolve, reject) => {
      this.#sealing = { resolve, reject };
      this.request();
    });
  }

  /** Forgets everything at once; what is under way may or may not reach its slot. */
  abandon(): void {
    this.#end();
  }

  /**
   * Waits while the turns of the event loop bring more. The clients of a durable object send their next requests at once: one object with
   * the commits of all of them costs less than many with a few each, whose pages are largely the same.
   */
  #gather(): void {
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + limits.logGatherMsMax;
    let seen = this.#requests;
    let quietTurns = 0;
    const look = (): void => {
      quietTurns = seen === this.#requests ? quietTurns + 1 : 0;
      seen = this.#requests;
      if (quietTurns < limits.logGatherQuietTurns && clock.monotonicMs() < untilMs) {
        clock.soon(look);
        return;
      }
      this.#gathering = false;
      this.#flush();
    };
    this.#gathering = true;
    clock.soon(look);
  }

  #flush(): void {
    if (this.#ended || !this.#machine.idle) return;
    const groups: LogGroup[] = [];
    const seq = this.#nextSeq;
    const index = this.#recovery.entriesFor(seq, () => this.#options.source.pendingEntries?.() ?? []);
    let { bytes } = index;
    while (bytes + logGroupBytesMax <= limits.logObjectBytesMax - LOG_HEADER_BYTES) {
      const group = this.#options.source.take();
      if (group === undefined) break;
      groups.push(group);
      bytes += group.bytes;
    }
    if (this.#ended) return;
    const alone = groups.length === 0 && this.#proofs.length === 0;
    if (!alone || this.#sealing === undefined) {
      const bytesMax = limits.logObjectBytesMax - LOG_OVERHEAD_BYTES - bytes;
      const passengers = this.#options.source.passengers?.({ seq, bytesMax, alone });
      if (passengers !== undefined) groups.push(passengers);
    }
    const sealed = groups.length === 0 && this.#sealing !== undefined;
    if (groups.length === 0 && !sealed && this.#proofs.length === 0) return;
    const { incarnation, nonce } = this.#options;
    const oldest = Math.min(this.#options.source.oldestNeeded() ?? seq, lowWatermarkMax(seq)) as LogSeq;
    const kind = sealed ? "seal" : "entries";
    const entries = sealed ? [] : [...index.entries, ...groups.flatMap((group) => group.entries)];
    const { bytes: object, footer } = encodeIndexedLogObject(
      { incarnation, seq, nonce, kind, lowWatermark: oldest },
      entries,
    );
    this.#nextSeq = (seq + 1) as LogSeq;
    this.#recovery.written(footer);
    this.#underWay = { seq, kind, bytes: object, groups, footer, indexEntries: index.entries.length };
    this.counters.objects++;
    this.counters.bytes += object.length;
    this.counters.entries += entries.length;
    this.#run(this.#machine.step({ kind: "start", atMs: this.#options.clock.monotonicMs() }));
  }

  #run(effects: readonly PutEffect[]): void {
    const { clock } = this.#options;
    for (const effect of effects) {
      switch (effect.kind) {
        case "put":
          void this.#put(effect.attempt);
          break;
        case "look":
          void this.#look(effect.look);
          break;
        case "tickAt":
          this.#cancelTick?.();
          if (!Number.isFinite(effect.atMs)) break;
          this.#cancelTick = clock.after(Math.max(0, effect.atMs - clock.monotonicMs()), () => {
            if (!this.#ended) this.#run(this.#machine.step({ kind: "tick", atMs: clock.monotonicMs() }));
          });
          break;
        case "durable":
          this.#durable(effect.sentMs, effect.tookMs);
          break;
        case "fenced":
          this.#end();
          this.#options.onFenced();
          break;
      }
    }
  }

  async #put(attempt: number): Promise<void> {
    const underWay = this.#underWay;
    if (underWay === undefined) return;
    const { store, incarnation, clock } = this.#options;
    const controller = new AbortController();
    const cancel = clock.after(limits.logPutAttemptMs, () =>
      controller.abort(new Error("attempt timed out")),
    );
    this.#attempts.add(controller);
    this.counters.puts++;
    let outcome: PutOutcome;
    try {
      outcome = await store.putIfAbsent(logKey(incarnation, underWay.seq), underWay.bytes, {
        signal: controller.signal,
      });
    } catch {
      // Whatever a driver throws, the object may have arrived: only the slot itself can tell.
      outcome = "unknown";
      this.counters.retries++;
    }
    cancel();
    this.#attempts.delete(controller);
    if (this.#ended) return;
    this.#run(this.#machine.step({ kind: "outcome", attempt, outcome, atMs: clock.monotonicMs() }));
  }

  /** The slot is taken: by an earlier try of ours, or by someone who ended this log. */
  async #look(look: number): Promise<void> {
    const underWay = this.#underWay;
    if (underWay === undefined) return;
    const { store, incarnation, nonce, clock } = this.#options;
    this.counters.looks++;
    let found: "own" | "foreign" | "unreadable" = "unreadable";
    const controller = new AbortController();
    const cancel = clock.after(limits.logPutAttemptMs, () => controller.abort(new Error("look timed out")));
    try {
      const head = await store.range(
        logKey(incarnation, underWay.seq),
        { offset: 0, length: LOG_HEADER_BYTES },
        { signal: controller.signal },
      );
      if (head !== undefined) found = ownHeader(head.bytes, underWay.seq, nonce) ? "own" : "foreign";
    } catch {
      found = "unreadable";
    }
    cancel();
    if (this.#ended) return;
    this.#run(this.#machine.step({ kind: "looked", look, found, atMs: clock.monotonicMs() }));
  }

  #durable(sentMs: number, tookMs: number): void {
    const done = this.#underWay;
    if (done === undefined) return;
    this.#underWay = undefined;
    this.#cancelTick?.();
    for (const attempt of this.#attempts) attempt.abort(new Error("the slot is decided"));
    // A beat carries this, and a sealer starts to look above it: at a SEAL it would look past the end.
    if (done.kind === "entries") this.#durableSeq = done.seq;
    this.#provenMs = Math.max(this.#provenMs, sentMs);
    this.counters.putMs += tookMs;
    this.#options.observer?.flushed(done.bytes.length, done.footer.index.length, tookMs);
    this.#options.onWatermark?.(done.footer.header.lowWatermark);
    let at = done.indexEntries;
    for (const group of done.groups) {
      const end = at + group.entries.length;
      group.durable(done.seq, done.footer.index.slice(at, end), done.bytes);
      at = end;
    }
    const proven = this.#proofs.filter((proof) => proof.wantedMs <= sentMs);
    this.#proofs = this.#proofs.filter((proof) => proof.wantedMs > sentMs);
    for (const proof of proven) proof.resolve();
    if (done.kind === "seal") {
      this.#sealing?.resolve(done.seq);
      this.#end();
      return;
    }
    this.#gather();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelTick?.();
    const proofs = this.#proofs;
    this.#proofs = [];
    for (const proof of proofs) proof.reject(fencedError());
    this.#sealing?.reject(fencedError());
  }
}

function ownHeader(bytes: Uint8Array, seq: LogSeq, nonce: string): boolean {
  try {
    const header = decodeLogHeader(bytes);
    return header.nonce === nonce && header.seq === seq;
  } catch {
    // Not an object of ours, whatever it is: writing on beside it is out of the question.
    return false;
  }
}

export function fencedError(): SystemError {
  return new SystemError("fenced", "Cannot go on: this worker's commit log was ended by another", {
    hint: "The worker registers anew and loads its tenants again; try again.",
    retryAfterMs: 1_000,
  });
}
