import { describe, expect, test } from "bun:test";
import { SlowReaders } from "./slow-readers.ts";

function endless() {
  const state = { cancelled: false, given: 0 };
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      state.given += 1;
      controller.enqueue(new Uint8Array(16));
    },
    cancel: () => {
      state.cancelled = true;
    },
  });
  return { state, body };
}

describe("an answer's reader", () => {
  test("that stops taking is left, and the other side too", async () => {
    const readers = new SlowReaders(20);
    const { state, body } = endless();
    const reader = readers.watch(body).getReader();
    await reader.read();
    await Bun.sleep(120);
    expect(state.cancelled).toBe(true);
    await expect(reader.read()).rejects.toThrow("did not read");
    expect(readers.watching).toBe(0);
  });

  test("that waits for what is not there yet is left alone", async () => {
    const readers = new SlowReaders(20);
    const late = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await Bun.sleep(150);
        controller.enqueue(new Uint8Array(1));
        controller.close();
      },
    });
    const reader = readers.watch(late).getReader();
    expect((await reader.read()).value).toHaveLength(1);
    expect((await reader.read()).done).toBe(true);
    expect(readers.watching).toBe(0);
  });

  test("that goes, and a source that breaks, are forgotten", async () => {
    const readers = new SlowReaders(1_000);
    const { state, body } = endless();
    await readers.watch(body).cancel();
    expect([state.cancelled, readers.watching]).toEqual([true, 0]);
    const broken = new ReadableStream<Uint8Array>({
      pull: () => {
        throw new Error("broken");
      },
    });
    await expect(readers.watch(broken).getReader().read()).rejects.toThrow("broken");
    expect(readers.watching).toBe(0);
  });
});
