import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openObjectStore } from "../../../control/objects.ts";
import type { Incarnation, LogSeq } from "../../../shared/ids.ts";
import { encodeLogObject } from "../../../shared/log/encode.ts";
import { sealLog } from "../../../shared/log/seal.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { logKey } from "../../../shared/objects/layout.ts";
import { missingSlots, standingEnd } from "./log-holes.ts";

const incarnation = 7 as Incarnation;
const { signal } = new AbortController();
let directory: string;
let store: ObjectStore;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "log-holes-"));
  store = await openObjectStore(`file:${directory}`, {});
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

const nonce = "a".repeat(32);
async function write(
  slots: readonly number[],
  lowWatermark = 0,
  kind: "entries" | "seal" = "entries",
): Promise<void> {
  for (const slot of slots) {
    const watermark = Math.min(lowWatermark, Math.max(0, slot - 4)) as LogSeq;
    const seq = slot as LogSeq;
    const header = { incarnation, seq, nonce, kind, lowWatermark: watermark };
    await store.put(logKey(incarnation, seq), encodeLogObject(header, []));
  }
}
const seal = () => sealLog({ store, incarnation, from: 0 as LogSeq, nonce: "b".repeat(32), signal });
const missing = async (endBefore?: number) =>
  missingSlots(store, { incarnation, endSeq: await seal() }, endBefore as LogSeq | undefined, signal);

test("a log that was truncated at its start has no holes; one that lost its newest slots only where that is known", async () => {
  await write([9, 10, 11, 12, 13, 14], 9);
  expect(await missing()).toEqual([]);
  expect(await missing(18)).toEqual([[15, 17]]);
});

test("holes in the middle and at the start are found, wherever a sealer has to put its SEAL", async () => {
  await write([3, 4, 6, 9]);
  expect(await seal()).toBe(10 as LogSeq);
  expect(await missing()).toEqual([
    [1, 2],
    [5, 5],
    [7, 8],
  ]);
});

for (const seals of [1, 4]) {
  test(`a log whose end was sealed before it was copied: what is missing below ${seals} SEALs is missing`, async () => {
    await write([1, 2, 3, 5]);
    await write(
      Array.from({ length: seals }, (_, i) => 8 + i),
      0,
      "seal",
    );
    const endBefore = await standingEnd(store, incarnation, signal);
    expect(endBefore).toBe(8 as LogSeq);
    expect(await missing(endBefore)).toEqual([
      [4, 4],
      [6, 7],
    ]);
  });
}

test("free slots between SEALs are nothing that is missing", async () => {
  await write([1, 2]);
  await write([3, 6], 0, "seal");
  const endBefore = await standingEnd(store, incarnation, signal);
  expect(endBefore).toBe(3 as LogSeq);
  expect(await missing(endBefore)).toEqual([]);
});

test("a log that is not sealed has no standing end", async () => {
  expect(await standingEnd(store, incarnation, signal)).toBeUndefined();
  await write([1, 2]);
  expect(await standingEnd(store, incarnation, signal)).toBeUndefined();
});

test("a log that never began has none", async () => {
  expect(await missing()).toEqual([]);
});
