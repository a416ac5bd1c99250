import { afterEach, describe, expect, test } from "bun:test";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { SystemError } from "../../shared/errors.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { blockKey } from "../../shared/objects/layout.ts";
import { limits } from "../../shared/limits.ts";
import { BLOCKS } from "../domain/keys.ts";
import { draft, put } from "../domain/view.ts";
import { type TestControl, startTestControl, startTestWorker } from "../control-fixture.ts";
import { openObjectStore } from "../objects.ts";
import { claimBlock, claimedBlocks } from "./number-blocks.ts";

let running: TestControl | undefined;
afterEach(async () => {
  await running?.remove();
  running = undefined;
});

describe("blocks of incarnation numbers", () => {
  test("every start claims a new one; numbers of different starts never meet", async () => {
    running = await startTestControl();
    const first = await startTestWorker(running);
    await first.kill();
    await running.stop();
    running = await startTestControl(running.directory);
    const second = await startTestWorker(running);
    await second.kill();
    expect(first.incarnation as number).toBe(1 * 65_536);
    expect(second.incarnation as number).toBe(2 * 65_536);
    expect(await running.objects.head(blockKey(2))).toBeDefined();
  });

  test("a state that was put back from a copy refuses to lead and says what to do", async () => {
    running = await startTestControl();
    await running.stop();
    const state = join(running.directory, "control");
    const copy = join(running.directory, "copy");
    await cp(state, copy, { recursive: true });
    running = await startTestControl(running.directory);
    await running.stop();
    await rm(state, { recursive: true });
    await cp(copy, state, { recursive: true });
    running = await startTestControl(running.directory);
    const settled = await running.control.leadership.settled(AbortSignal.timeout(2_000));
    expect(settled).toMatchObject({ refused: { code: "control_rolled_back" } });
    const attempt = startTestWorker(running);
    await expect(attempt).rejects.toMatchObject({
      code: "control_rolled_back",
      hint: expect.stringContaining("manybase control restore"),
    });
  });

  test("a claimed block beyond the known ones is found though the next is free", async () => {
    running = await startTestControl();
    await running.objects.putIfAbsent(blockKey(9), new TextEncoder().encode("{}"));
    await running.stop();
    running = await startTestControl(running.directory);
    const settled = await running.control.leadership.settled(AbortSignal.timeout(2_000));
    expect(settled).toMatchObject({ refused: { code: "control_rolled_back" } });
    expect(await running.objects.head(blockKey(2))).toBeUndefined();
  });

  test("a claim whose answer was lost is recognised as our own", async () => {
    let puts = 0;
    const forgetful = (inner: ObjectStore): ObjectStore =>
      new Proxy(inner, {
        get(target, name) {
          if (name !== "putIfAbsent") {
            const value: unknown = Reflect.get(target, name);
            return typeof value === "function" ? (value.bind(target) as unknown) : value;
          }
          return async (...call: Parameters<ObjectStore["putIfAbsent"]>) => {
            puts++;
            const outcome = await target.putIfAbsent(...call);
            return puts === 1 ? "unknown" : outcome;
          };
        },
      });
    running = await startTestControl();
    const { control } = running;
    const objects = forgetful(await openObjectStore(`file:${join(running.directory, "store")}`, {}));
    const parts = { objects, table: control.table, runner: control.runner };
    expect(await claimBlock(parts, AbortSignal.timeout(2_000))).toBe(2);
    expect(puts).toBe(2);
    expect(control.table.get(BLOCKS)?.block).toBe(2);
  });

  test("a block that somebody else claimed is a state that was rolled back", async () => {
    running = await startTestControl();
    const { control, objects } = running;
    await objects.putIfAbsent(blockKey(2), new TextEncoder().encode('{"nonce":"of another"}'));
    const parts = { objects, table: control.table, runner: control.runner };
    await expect(claimBlock(parts, AbortSignal.timeout(2_000))).rejects.toBeInstanceOf(SystemError);
  });

  test("a block whose last number is given away is followed by a new one, claimed once for all who ask", async () => {
    running = await startTestControl();
    const { control, objects } = running;
    const parts = { objects, table: control.table, runner: control.runner };
    const signal = AbortSignal.timeout(5_000);
    const block = claimedBlocks(parts, 1, signal);
    const use = (used: number): Promise<void> =>
      control.runner.run((view) => ({
        draft: draft(view, [BLOCKS], [put(BLOCKS, { block: 1, used })]),
        value: undefined,
      }));
    await use(limits.incarnationsPerBlock - 1);
    expect(await block()).toBe(1);
    await use(limits.incarnationsPerBlock);
    expect(await Promise.all([block(), block()])).toEqual([2, 2]);
    expect(await objects.head(blockKey(3))).toBeUndefined();
  });
});
