import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Epoch, Incarnation, LogSeq, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { decodeLogObject } from "../../shared/log/decode.ts";
import { encodeLogObject } from "../../shared/log/encode.ts";
import type { LogEntry } from "../../shared/log/log.ts";
import { decodeState, encodeState } from "../../shared/log/state.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { logKey } from "../../shared/objects/layout.ts";
import { getBytes } from "../../shared/objects/read.ts";
import { type StoreFault, faultyStore } from "../objects/faults.ts";
import { openObjectStore } from "../objects/open.ts";
import { type Clock, systemClock } from "./clock.ts";
import { type LogGroup, LogWriter, logGroupBytesMax } from "./log-writer.ts";

const INCARNATION = 7 as Incarnation;
const NONCE = "ab".repeat(16);
let directory: string;
let store: ObjectStore;
/** Taken one after the other by PUTs of log objects. */
let faults: (StoreFault | undefined)[];
let waiting: LogGroup[];
let durable: number[];
let fenced: number;
let writer: LogWriter;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "log-writer-"));
  store = await openObjectStore(`file:${directory}`, {});
  [faults, waiting, durable, fenced] = [[], [], [], 0];
  writer = make();
});
afterEach(() => {
  writer.abandon();
  rmSync(directory, { recursive: true, force: true });
});

function make(nonce = NONCE, clock: Clock = systemClock): LogWriter {
  return new LogWriter({
    store: faultyStore(store, (operation) => (operation === "putIfAbsent" ? faults.shift() : undefined)),
    incarnation: INCARNATION,
    nonce,
    clock,
    source: { take: () => waiting.shift(), oldestNeeded: () => undefined },
    onFenced: () => void fenced++,
  });
}

function write(number: number, bytes = 100): Promise<void> {
  const tenant = "abcdefghijklmno" as TenantId;
  const entries: LogEntry[] = [
    { kind: "state", tenant, epoch: 1 as Epoch, body: encodeState({ number: String(number) }) },
  ];
  return new Promise((resolve) => {
    waiting.push({
      entries,
      bytes,
      durable: () => {
        durable.push(number);
        resolve();
      },
    });
    writer.request();
  });
}

async function numbers(seq: number): Promise<number[] | undefined> {
  const bytes = await getBytes(store, logKey(INCARNATION, seq as LogSeq));
  if (bytes === undefined) return undefined;
  return decodeLogObject(bytes).entries.map((entry) =>
    entry.kind === "state" ? Number(decodeState(entry.body)["number"]) : -1,
  );
}

describe("LogWriter", () => {
  test("writes at once when idle, and collects while an object is under way", async () => {
    faults = [{ kind: "delay", ms: 20 }];
    const first = write(1);
    await Bun.sleep(5);
    const rest = [write(2), write(3)];
    expect(writer.outstandingMs()).toBeGreaterThan(0);
    await Promise.all([first, ...rest]);
    expect([await numbers(1), await numbers(2), await numbers(3)]).toEqual([[1], [2, 3], undefined]);
    expect(durable).toEqual([1, 2, 3]);
    expect(writer.durableSeq).toBe(2 as LogSeq);
    expect(writer.outstandingMs()).toBe(0);
  });

  describe("turn by turn", () => {
    let turns: (() => void)[];
    let nowMs: number;
    beforeEach(() => {
      [turns, nowMs] = [[], 0];
      writer = make(NONCE, {
        ...systemClock,
        monotonicMs: () => nowMs,
        soon: (run) => void turns.push(run),
      });
    });
    function turn(): void {
      for (const run of turns.splice(0)) run();
    }

    test("waits while turns bring more", async () => {
      const written = [write(1)];
      turn();
      written.push(write(2));
      for (let i = 1; i < limits.logGatherQuietTurns; i++) turn();
      written.push(write(3));
      for (let i = 0; i < limits.logGatherQuietTurns; i++) turn();
      expect(writer.counters.objects).toBe(0);
      turn();
      expect(writer.counters.objects).toBe(1);
      await Promise.all(written);
      expect(await numbers(1)).toEqual([1, 2, 3]);
    });

    test("does not wait for ever, neither for the first object nor after one", async () => {
      for (const object of [1, 2]) {
        const startMs = nowMs;
        const written: Promise<void>[] = [];
        for (; writer.counters.objects < object && nowMs < startMs + 100; nowMs++) {
          written.push(write(nowMs));
          turn();
        }
        expect(nowMs - startMs).toBe(limits.logGatherMsMax + 1);
        await Promise.all(written);
      }
    });
  });

  test("fills objects up to their limit, in order", async () => {
    const fit = Math.floor(limits.logObjectBytesMax / logGroupBytesMax);
    await Promise.all(Array.from({ length: fit * 2 + 1 }, (_, i) => write(i, logGroupBytesMax)));
    expect(durable).toEqual(Array.from({ length: fit * 2 + 1 }, (_, i) => i));
    expect((await numbers(1))?.length).toBe(fit);
    expect(writer.durableSeq).toBe(3 as LogSeq);
  });

  for (const fault of [
    { kind: "failBefore" },
    { kind: "lostAnswer" },
    { kind: "lateEffect", ms: 10 },
    { kind: "duplicate" },
  ] as const) {
    test(`survives ${fault.kind}: the same bytes in the same slot, once`, async () => {
      faults = [fault, undefined, fault, fault, fault];
      for (let i = 1; i <= 3; i++) await write(i);
      expect(durable).toEqual([1, 2, 3]);
      expect([await numbers(1), await numbers(2), await numbers(3)]).toEqual([[1], [2], [3]]);
      expect(fenced).toBe(0);
    });
  }

  test("is fenced by anyone else's object, acknowledges nothing more, and never writes behind it", async () => {
    await write(1);
    const seal = {
      incarnation: INCARNATION,
      seq: 2 as LogSeq,
      nonce: "cd".repeat(16),
      kind: "seal" as const,
      lowWatermark: 0 as LogSeq,
    };
    await store.put(logKey(INCARNATION, 2 as LogSeq), encodeLogObject(seal, []));
    void write(2);
    await Bun.sleep(30);
    void write(3);
    await Bun.sleep(30);
    expect(fenced).toBe(1);
    expect(durable).toEqual([1]);
    expect(await numbers(3)).toBeUndefined();
    expect(await writer.prove().catch((error: Error) => error.message)).toContain("ended by another");
  });

  test("is fenced by bytes that are no log object at all", async () => {
    await store.put(logKey(INCARNATION, 1 as LogSeq), new TextEncoder().encode("what is this"));
    void write(1);
    await Bun.sleep(30);
    expect([fenced, durable.length]).toEqual([1, 0]);
  });

  test("prove writes an empty object, and one PUT proves for all who asked before it", async () => {
    await Promise.all([writer.prove(), writer.prove()]);
    expect(await numbers(1)).toEqual([]);
    expect(writer.durableSeq).toBe(1 as LogSeq);
  });

  test("prove is not content with a PUT that was sent before", async () => {
    faults = [{ kind: "delay", ms: 20 }];
    const first = write(1);
    await Bun.sleep(5);
    await Promise.all([first, writer.prove()]);
    expect(writer.durableSeq).toBe(2 as LogSeq);
  });

  test("seal ends the log behind everything that waits", async () => {
    const writes = [write(1), write(2)];
    expect(await writer.seal()).toBe(2 as LogSeq);
    await Promise.all(writes);
    const bytes = (await getBytes(store, logKey(INCARNATION, 2 as LogSeq))) as Uint8Array;
    expect(decodeLogObject(bytes).header.kind).toBe("seal");
    expect(writer.durableSeq).toBe(1 as LogSeq);
    expect(fenced).toBe(0);
  });

  test("after abandon nothing is acknowledged, whatever still arrives", async () => {
    faults = [{ kind: "delay", ms: 20 }];
    void write(1);
    await Bun.sleep(5);
    writer.abandon();
    await Bun.sleep(40);
    expect(durable).toEqual([]);
    expect(await numbers(1)).toEqual([1]);
  });
});
