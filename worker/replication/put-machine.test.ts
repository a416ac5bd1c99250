import { describe, expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import { type PutEffect, PutMachine } from "./put-machine.ts";

const machine = (): PutMachine => new PutMachine(() => 1);
const kinds = (effects: readonly PutEffect[]): string[] => effects.map((effect) => effect.kind);

describe("PutMachine", () => {
  test("created makes the slot durable and the machine idle", () => {
    const put = machine();
    expect(kinds(put.step({ kind: "start", atMs: 10 }))).toEqual(["put", "tickAt"]);
    expect(put.idle).toBe(false);
    expect(put.step({ kind: "outcome", attempt: 1, outcome: "created", atMs: 45 })).toEqual([
      { kind: "durable", sentMs: 10, tookMs: 35 },
    ]);
    expect(put.idle).toBe(true);
  });

  test("unknown is sent again after a delay that grows", () => {
    const put = machine();
    put.step({ kind: "start", atMs: 0 });
    let atMs = 0;
    const delays: number[] = [];
    for (let attempt = 1; attempt <= 10; attempt++) {
      const [wish] = put.step({ kind: "outcome", attempt, outcome: "unknown", atMs });
      if (wish?.kind !== "tickAt") throw new Error("expected a retry");
      delays.push(wish.atMs - atMs);
      expect(kinds(put.step({ kind: "tick", atMs: wish.atMs - 1 }))).toEqual(["tickAt"]);
      atMs = wish.atMs;
      expect(put.step({ kind: "tick", atMs })).toEqual([{ kind: "put", attempt: attempt + 1 }]);
    }
    expect(delays[0]).toBe(limits.logRetryDelayMsMin);
    expect(delays.at(-1)).toBe(limits.logRetryDelayMsMax);
  });

  test("exists is looked at: ours is success, anyone else's is the end", () => {
    for (const [found, effect] of [
      ["own", "durable"],
      ["foreign", "fenced"],
    ] as const) {
      const put = machine();
      put.step({ kind: "start", atMs: 0 });
      expect(kinds(put.step({ kind: "outcome", attempt: 1, outcome: "exists", atMs: 1 }))).toEqual(["look"]);
      expect(kinds(put.step({ kind: "looked", look: 1, found, atMs: 2 }))).toEqual([effect]);
      expect(put.idle).toBe(found === "own");
    }
  });

  test("nothing happens after fenced", () => {
    const put = machine();
    put.step({ kind: "start", atMs: 0 });
    put.step({ kind: "outcome", attempt: 1, outcome: "exists", atMs: 1 });
    put.step({ kind: "looked", look: 1, found: "foreign", atMs: 2 });
    expect(put.step({ kind: "start", atMs: 3 })).toEqual([]);
    expect(put.step({ kind: "outcome", attempt: 1, outcome: "created", atMs: 4 })).toEqual([]);
  });

  test("a failed look is followed by another try", () => {
    const put = machine();
    put.step({ kind: "start", atMs: 0 });
    put.step({ kind: "outcome", attempt: 1, outcome: "exists", atMs: 1 });
    expect(kinds(put.step({ kind: "looked", look: 1, found: "unreadable", atMs: 2 }))).toEqual(["tickAt"]);
    expect(kinds(put.step({ kind: "tick", atMs: 10_000 }))).toEqual(["put"]);
  });

  test("one hedge, when the first try is slower than most", () => {
    const put = machine();
    for (let i = 1; i <= limits.logLatencySamples; i++) {
      put.step({ kind: "start", atMs: i * 1_000 });
      put.step({ kind: "outcome", attempt: i, outcome: "created", atMs: i * 1_000 + 60 });
    }
    const atMs = 1_000_000;
    expect(put.step({ kind: "start", atMs })[1]).toEqual({ kind: "tickAt", atMs: atMs + 60 });
    const first = limits.logLatencySamples + 1;
    expect(put.step({ kind: "tick", atMs: atMs + 60 })).toEqual([{ kind: "put", attempt: first + 1 }]);
    expect(put.step({ kind: "tick", atMs: atMs + 500 })).toEqual([]);
    expect(put.step({ kind: "outcome", attempt: first, outcome: "unknown", atMs: atMs + 600 })).toEqual([]);
    expect(
      kinds(put.step({ kind: "outcome", attempt: first + 1, outcome: "created", atMs: atMs + 700 })),
    ).toEqual(["durable"]);
  });

  test("the loser of a hedge is ignored in the next slot", () => {
    const put = machine();
    put.step({ kind: "start", atMs: 0 });
    put.step({ kind: "tick", atMs: limits.logHedgeMsDefault });
    put.step({ kind: "outcome", attempt: 2, outcome: "created", atMs: 600 });
    put.step({ kind: "start", atMs: 601 });
    expect(put.step({ kind: "outcome", attempt: 1, outcome: "exists", atMs: 602 })).toEqual([]);
    expect(put.step({ kind: "outcome", attempt: 1, outcome: "created", atMs: 603 })).toEqual([]);
    expect(put.idle).toBe(false);
  });

  test("a look at an earlier slot decides nothing about this one", () => {
    const put = machine();
    put.step({ kind: "start", atMs: 0 });
    put.step({ kind: "tick", atMs: limits.logHedgeMsDefault });
    // The hedge meets the first try's object; while we look, the first try's own answer arrives.
    expect(put.step({ kind: "outcome", attempt: 2, outcome: "exists", atMs: 600 })).toEqual([
      { kind: "look", look: 1 },
    ]);
    expect(kinds(put.step({ kind: "outcome", attempt: 1, outcome: "created", atMs: 601 }))).toEqual([
      "durable",
    ]);
    put.step({ kind: "start", atMs: 602 });
    expect(put.step({ kind: "looked", look: 1, found: "own", atMs: 603 })).toEqual([]);
    put.step({ kind: "outcome", attempt: 3, outcome: "exists", atMs: 604 });
    expect(put.step({ kind: "looked", look: 1, found: "own", atMs: 605 })).toEqual([]);
    expect(kinds(put.step({ kind: "looked", look: 2, found: "foreign", atMs: 606 }))).toEqual(["fenced"]);
  });
});
