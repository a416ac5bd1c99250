/**
 * Whether a history is linearizable: whether each operation can be given a moment between its call and its return so that, in the
 * order of these moments, a plain register gives all the answers. The search is Wing and Gong's with Lowe's memory of states tried;
 * keys are independent, so each is searched alone (Herlihy and Wing: linearizability is local).
 */
import type { Event, Value } from "./history.ts";

export interface Verdict {
  linearizable: boolean;
  /** Of the first key that is not: the most operations that could be put in order, and those after which none fits. */
  key?: string;
  explained?: number;
  stuckAt?: Event[];
  /** The search gave up: too many orders to try. Neither a proof nor a counterexample. */
  undecided?: true;
}

/** Steps per key before the search gives up. */
const STEPS_MAX = 5_000_000;

export function checkLinearizable(events: readonly Event[], stepsMax: number = STEPS_MAX): Verdict {
  const byKey = new Map<string, Event[]>();
  for (const event of events) {
    const list = byKey.get(event.key);
    if (list === undefined) byKey.set(event.key, [event]);
    else list.push(event);
  }
  for (const [key, list] of byKey) {
    const verdict = new Search(list, stepsMax).run();
    if (!verdict.linearizable) return { key, ...verdict };
  }
  return { linearizable: true };
}

/** An end of an operation in the list of all, in order of time. */
interface Mark {
  event: Event;
  /** Of the operation. */
  number: number;
  /** The return of a call; undefined on a return. */
  match: Mark | undefined;
  previous: Mark | undefined;
  next: Mark | undefined;
}

interface Choice {
  call: Mark;
  before: Value;
}

class Search {
  /** Before the first mark. */
  readonly #head: Mark;
  readonly #mustHappen: number;
  readonly #stepsMax: number;
  readonly #done: Uint32Array;
  readonly #tried = new Set<string>();
  readonly #choices: Choice[] = [];
  #state: Value = null;
  #explained = 0;
  #stuckAt: Event[] = [];

  constructor(events: readonly Event[], stepsMax: number) {
    this.#stepsMax = stepsMax;
    this.#mustHappen = events.filter((event) => event.returnedAt !== Number.POSITIVE_INFINITY).length;
    this.#done = new Uint32Array(Math.ceil(events.length / 32));
    this.#head = link(events);
  }

  run(): Omit<Verdict, "key"> {
    let happened = 0;
    let at = this.#head.next;
    for (let step = 0; happened < this.#mustHappen; step++) {
      if (step >= this.#stepsMax) return { linearizable: false, undecided: true, explained: this.#explained };
      if (at?.match !== undefined) {
        const chosen = this.#tryNext(at);
        if (chosen) {
          if (at.event.returnedAt !== Number.POSITIVE_INFINITY) happened += 1;
          at = this.#head.next;
        } else at = at.next;
        continue;
      }
      // A return comes before every call that could still explain it (or the list ends): one of the choices so far was wrong.
      this.#noteProgress(happened);
      const undone = this.#undo();
      if (undone === undefined) {
        return { linearizable: false, explained: this.#explained, stuckAt: this.#stuckAt };
      }
      if (undone.event.returnedAt !== Number.POSITIVE_INFINITY) happened -= 1;
      at = undone.next;
    }
    return { linearizable: true };
  }

  /** Takes the operation as the next one in order, if the register agrees and that was not tried before. */
  #tryNext(call: Mark): boolean {
    const after = apply(call.event, this.#state);
    if (after === undefined) return false;
    this.#flip(call.number);
    const memory = `${this.#done.join()}|${after ?? "\0"}`;
    if (this.#tried.has(memory)) {
      this.#flip(call.number);
      return false;
    }
    this.#tried.add(memory);
    this.#choices.push({ call, before: this.#state });
    this.#state = after;
    unlink(call);
    return true;
  }

  #undo(): Mark | undefined {
    const choice = this.#choices.pop();
    if (choice === undefined) return undefined;
    this.#state = choice.before;
    this.#flip(choice.call.number);
    relink(choice.call);
    return choice.call;
  }

  #flip(number: number): void {
    this.#done[number >> 5]! ^= 1 << (number & 31);
  }

  #noteProgress(happened: number): void {
    if (happened < this.#explained && this.#stuckAt.length > 0) return;
    this.#explained = happened;
    this.#stuckAt = [];
    for (let mark = this.#head.next; mark !== undefined && this.#stuckAt.length < 8; mark = mark.next) {
      if (mark.match !== undefined) this.#stuckAt.push(mark.event);
      else break;
    }
  }
}

/** The register after the operation; undefined when it would have answered otherwise. */
function apply({ operation }: Event, state: Value): Value | undefined {
  switch (operation.kind) {
    case "read":
      return operation.value === state ? state : undefined;
    case "write":
      return operation.value;
    case "swap":
      return operation.expected === state ? operation.value : undefined;
    case "refused":
      return operation.expected !== state && operation.seen === state ? state : undefined;
  }
}

function link(events: readonly Event[]): Mark {
  const marks: { time: number; isReturn: boolean; mark: Mark }[] = [];
  for (const [number, event] of events.entries()) {
    const none = { previous: undefined, next: undefined };
    const end: Mark = { event, number, match: undefined, ...none };
    marks.push({ time: event.calledAt, isReturn: false, mark: { event, number, match: end, ...none } });
    marks.push({ time: event.returnedAt, isReturn: true, mark: end });
  }
  // At one moment calls come first: operations that touch are concurrent.
  marks.sort((a, b) => (a.time === b.time ? Number(a.isReturn) - Number(b.isReturn) : a.time - b.time));
  const nobody: Event = {
    key: "",
    client: "",
    operation: { kind: "read", value: null },
    calledAt: 0,
    returnedAt: 0,
  };
  const head: Mark = { event: nobody, number: -1, match: undefined, previous: undefined, next: undefined };
  let last = head;
  for (const { mark } of marks) {
    last.next = mark;
    mark.previous = last;
    last = mark;
  }
  return head;
}

function unlink(call: Mark): void {
  for (const mark of [call, call.match!]) {
    mark.previous!.next = mark.next;
    if (mark.next !== undefined) mark.next.previous = mark.previous;
  }
}

/** The other way round, in the reverse order. */
function relink(call: Mark): void {
  for (const mark of [call.match!, call]) {
    mark.previous!.next = mark;
    if (mark.next !== undefined) mark.next.previous = mark;
  }
}
