import { drainMicrotasks } from "bun:jsc";

/** A process of the simulation, or the network. What happens to it happens through events that it can be kept from. */
export class Actor {
  readonly name: string;
  state: "up" | "frozen" | "dead" = "up";
  readonly held: Event[] = [];

  constructor(name: string) {
    this.name = name;
  }
}

interface Event {
  atMs: number;
  order: number;
  actor: Actor;
  label: string;
  run: (() => void) | undefined;
}

const TRACE_LINES_MAX = Number(process.env["SIMULATION_TRACE_LINES"] ?? 400);

/**
 * Virtual time and everything that is still to happen. One event is one step: it runs, and then all promise callbacks that it
 * set off, up to the next wait for the store, a timer or a message. So a kill or a freeze between two steps falls between two awaits.
 */
export class Schedule {
  nowMs = 0;
  steps = 0;
  readonly #heap: Event[] = [];
  #order = 0;
  #hash = 0n;
  readonly #trace: string[] = [];

  /** Of everything that has happened, in order. */
  get traceHash(): string {
    return this.#hash.toString(16).padStart(16, "0");
  }

  /** The newest steps. */
  get trace(): readonly string[] {
    return this.#trace;
  }

  /** @returns a function that cancels */
  at(actor: Actor, delayMs: number, label: string, run: () => void): () => void {
    const event: Event = { atMs: this.nowMs + delayMs, order: this.#order++, actor, label, run };
    this.#push(event);
    return () => {
      event.run = undefined;
    };
  }

  /** Part of the trace, without being a step. */
  note(text: string): void {
    this.#record(`  ${text}`);
  }

  /** @returns false when nothing is left to happen */
  step(): boolean {
    for (;;) {
      const event = this.#pop();
      if (event === undefined) return false;
      const { actor, run } = event;
      if (run === undefined || actor.state === "dead") continue;
      if (actor.state === "frozen") {
        actor.held.push(event);
        continue;
      }
      this.nowMs = Math.max(this.nowMs, event.atMs);
      this.steps++;
      this.#record(`${this.nowMs.toFixed(1)} ${actor.name}: ${event.label}`);
      run();
      drainMicrotasks();
      return true;
    }
  }

  freeze(actor: Actor): void {
    if (actor.state === "up") actor.state = "frozen";
  }

  /** Everything that waited comes now, in the order in which it would have come. */
  thaw(actor: Actor): void {
    if (actor.state !== "frozen") return;
    actor.state = "up";
    for (const event of actor.held.splice(0)) this.#push({ ...event, atMs: this.nowMs });
  }

  kill(actor: Actor): void {
    actor.state = "dead";
    actor.held.length = 0;
  }

  #record(line: string): void {
    this.#hash = Bun.hash.wyhash(line, this.#hash);
    this.#trace.push(line);
    if (this.#trace.length > TRACE_LINES_MAX * 2) this.#trace.splice(0, TRACE_LINES_MAX);
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

const before = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
