import { expect, test } from "bun:test";
import { Stop, stopAfter } from "./stop.ts";

test("who listens is told once, and the last one who asked", () => {
  const stop = new Stop();
  const told: string[] = [];
  stop.tell(() => told.push("first"));
  stop.tell(() => told.push("second"));
  expect(stop.reason !== undefined).toBe(false);
  stop.throwIfStopped();
  stop.stop(new Error("enough"));
  stop.stop(new Error("again"));
  expect(told).toEqual(["second"]);
  expect(() => stop.throwIfStopped()).toThrow("enough");
});

test("nobody is told who does not want to hear it any more", () => {
  const stop = new Stop();
  let told = 0;
  stop.tell(() => (told += 1));
  stop.tell(undefined);
  stop.stop("enough");
  expect([told, stop.reason !== undefined]).toEqual([0, true]);
});

test("its signal is aborted with the reason, whether it was asked for before or after", () => {
  const before = new Stop();
  const { signal } = before;
  before.stop("enough");
  expect(signal.aborted).toBe(true);
  expect(signal.reason).toEqual(new Error("enough"));
  const after = new Stop();
  after.stop(new Error("enough"));
  expect(after.signal.aborted).toBe(true);
  expect(after.signal).toBe(after.signal);
});

test("a stop by time comes, unless it was ended", async () => {
  const ended = stopAfter(1);
  ended.end();
  const { stop } = stopAfter(1);
  await new Promise((resolve) => stop.signal.addEventListener("abort", resolve));
  expect(() => stop.throwIfStopped()).toThrow("it took too long");
  expect(ended.stop.reason !== undefined).toBe(false);
});
