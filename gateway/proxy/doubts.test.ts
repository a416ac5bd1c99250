import { expect, test } from "bun:test";
import { Doubts, Waiting } from "./doubts.ts";

/** How often it is asked. */
const EVERY_MS = 20;

/** Notes what it is told. */
class Noting extends Waiting {
  readonly told: string[] = [];
  /** While it is told to watch. */
  then: () => void = () => undefined;

  watch(): void {
    this.told.push("watch");
    this.then();
  }

  ask(): void {
    this.told.push("ask");
  }
}

const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await Bun.sleep(5);
};

test("who waits long is watched once and asked again and again; who ended is not", async () => {
  const doubts = new Doubts(true, EVERY_MS);
  const [first, second, third] = [new Noting(), new Noting(), new Noting()];
  for (const one of [first, second, third]) doubts.open(one);
  doubts.close(second);
  // Looking after one may end others.
  first.then = () => doubts.close(third);
  await until(() => first.told.filter((what) => what === "ask").length >= 2);
  expect(first.told.slice(0, 2)).toEqual(["watch", "ask"]);
  expect(first.told.filter((what) => what === "watch")).toHaveLength(1);
  expect(second.told).toEqual([]);
  expect(third.told).toEqual([]);
  doubts.close(first);
  doubts.close(first);
  const { length } = first.told;
  const later = new Noting();
  doubts.open(later);
  await until(() => later.told.length > 0);
  expect(first.told).toHaveLength(length);
  doubts.close(later);
});

test("they may end in any order", async () => {
  const doubts = new Doubts(true, EVERY_MS);
  const all = Array.from({ length: 6 }, () => new Noting());
  for (const one of all) doubts.open(one);
  // Ending twice ends nobody else.
  for (const at of [5, 0, 3, 3]) doubts.close(all[at]!);
  const added = new Noting();
  doubts.open(added);
  await until(() => added.told.length > 0);
  expect(all.map(({ told }) => told.length > 0)).toEqual([false, true, true, false, true, false]);
  for (const one of [...all, added]) doubts.close(one);
});

test("where timers end with their request each has its own, and is watched at once", async () => {
  const doubts = new Doubts(false, EVERY_MS);
  const one = new Noting();
  doubts.open(one);
  expect(one.told).toEqual(["watch"]);
  await until(() => one.told.length > 2);
  doubts.close(one);
  const told = [...one.told];
  await Bun.sleep(EVERY_MS * 3);
  expect(one.told).toEqual(told);
});
