import { beforeEach, expect, test } from "bun:test";
import type { Epoch, LogSeq, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { decodeState } from "../../shared/log/state.ts";
import type { CarriedState } from "../../shared/protocol/internal.ts";
import type { LogGroup } from "../replication/log-writer.ts";
import { ManualClock } from "../tenant/manual-clock.ts";
import { StateLog, type StateOwner } from "./state-log.ts";

let clock: ManualClock;
let log: StateLog;
let requests: number;
let nextSeq: number;
beforeEach(() => {
  clock = new ManualClock();
  requests = 0;
  nextSeq = 1;
  log = new StateLog({
    clock,
    ciphers: { sealState: () => undefined },
    request: () => void requests++,
  });
});

type Owner = StateOwner & { values: CarriedState | undefined; failures: unknown[] };

function owner(letter: string, values?: CarriedState, epoch = 1): Owner {
  const failures: unknown[] = [];
  const made: Owner = {
    id: letter.repeat(15) as TenantId,
    epoch: epoch as Epoch,
    values,
    failures,
    carried: { collect: () => (made.values === undefined ? {} : { carried: made.values }) },
    effectFailed: (error) => void failures.push(error),
  };
  return made;
}

/** An object that is written. @returns whose values, and which, stand in it */
function object({ seq = nextSeq, alone = false, bytesMax = limits.logObjectBytesMax } = {}): [
  string,
  CarriedState,
][] {
  nextSeq = seq + 1;
  const group: LogGroup | undefined = log.take({ seq: seq as LogSeq, bytesMax, alone });
  group?.durable(seq as LogSeq, [], new Uint8Array());
  return (group?.entries ?? []).map((entry) => {
    if (entry.kind !== "state") throw new Error(`a ${entry.kind} entry`);
    return [`${entry.tenant[0]}${entry.epoch}`, decodeState(entry.body)];
  });
}

test("a DIRECTORY's object repeats what still counts; slots before it are not needed then", () => {
  const [a, b, c] = [owner("a", { n: "1" }), owner("b", { n: "2" }), owner("c", { n: "3" })];
  log.changed(a);
  object();
  clock.jump(limits.stateEveryMs);
  log.changed(b);
  log.changed(c);
  object();
  expect(log.oldestNeeded()).toBe(1 as LogSeq);
  b.values = undefined;
  const every = limits.logDirectoryEvery;
  const repeated = object({ seq: every });
  expect(repeated).toEqual([
    ["a1", { n: "1" }],
    ["b1", {}],
    ["c1", { n: "3" }],
  ]);
  expect(log.oldestNeeded()).toBe(every as LogSeq);
  expect(object({ seq: 2 * every })).toEqual([
    ["a1", { n: "1" }],
    ["c1", { n: "3" }],
  ]);
});

test("what does not fit waits for the next object that is written, or a second", async () => {
  const owners = ["a", "b", "c"].map((letter) => owner(letter, { n: "x".repeat(1_000) }));
  for (const one of owners) log.changed(one);
  expect(object({ bytesMax: 2_500 }).map(([whose]) => whose)).toEqual(["a1", "b1"]);
  log.changed(owners[0] as Owner);
  expect(object()).toEqual([]);
  expect(requests).toBe(0);
  await clock.pass(limits.stateEveryMs);
  expect(requests).toBe(1);
  expect(object({ alone: true }).map(([whose]) => whose)).toEqual(["c1", "a1"]);
  expect(clock.timers).toBe(0);
});

test("alone only when it is due", async () => {
  log.changed(owner("a", { n: "1" }));
  expect(object({ alone: true })).toEqual([]);
  expect(object({ alone: true, seq: limits.logDirectoryEvery })).toEqual([]);
  await clock.pass(limits.stateEveryMs);
  expect(object({ alone: true }).length).toBe(1);
});

test("who has left says nothing any more, and who came after it speaks for itself", () => {
  const [before, after] = [owner("a", { n: "1" }), owner("a", { n: "2" }, 2)];
  log.changed(before);
  const group = log.take({ seq: 1 as LogSeq, bytesMax: 10_000, alone: false });
  log.changed(before);
  expect(log.last(before)?.epoch).toBe(1 as Epoch);
  log.forget(before);
  group?.durable(1 as LogSeq, [], new Uint8Array());
  log.changed(before);
  expect(log.oldestNeeded()).toBeUndefined();
  log.loaded(after);
  clock.jump(limits.stateEveryMs);
  expect(object()).toEqual([["a2", { n: "2" }]]);
});

test("a reload in the same epoch keeps the slot until its own values are logged, even when it has none", () => {
  const [before, after] = [owner("a", { n: "1" }), owner("a")];
  log.changed(before);
  object();
  log.loaded(after);
  expect(log.oldestNeeded()).toBe(1 as LogSeq);
  clock.jump(limits.stateEveryMs);
  expect(object()).toEqual([["a1", {}]]);
  expect(log.oldestNeeded()).toBeUndefined();
  log.loaded(after);
  expect(clock.timers).toBe(0);
});

test("whose values cannot be read is told so, and holds up nobody", () => {
  const broken = owner("a");
  broken.carried.collect = () => {
    throw new Error("a defect of a feature");
  };
  log.changed(broken);
  log.changed(owner("b", { n: "1" }));
  expect(object()).toEqual([["b1", { n: "1" }]]);
  expect((broken.failures[0] as Error).message).toBe(
    `Cannot log the counters of tenant ${broken.id}: they could not be read`,
  );
});

test("nothing is left of it when it is closed", () => {
  log.changed(owner("a", { n: "1" }));
  log.close();
  log.changed(owner("b", { n: "1" }));
  expect([clock.timers, object()]).toEqual([0, []]);
});
