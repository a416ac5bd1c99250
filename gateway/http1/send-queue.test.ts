import { expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import { SendQueue } from "./send-queue.ts";

function queueOf(said: string[]): { queue: SendQueue; turn: () => void; turns: () => number } {
  const ends: (() => void)[] = [];
  const queue = new SendQueue(
    (send) => void ends.push(send),
    () => said.push("empty"),
  );
  return { queue, turn: () => ends.shift()?.(), turns: () => ends.length };
}

test("what is added goes out in order at the turn's end, for which it asks once", () => {
  const said: string[] = [];
  const { queue, turn, turns } = queueOf(said);
  for (const name of ["a", "b", "c"]) queue.add({ sendNow: () => said.push(name) });
  expect([said, turns()]).toEqual([[], 1]);
  turn();
  expect(said).toEqual(["a", "b", "c", "empty"]);
  queue.add({ sendNow: () => said.push("d") });
  expect(turns()).toBe(1);
  queue.send();
  queue.send();
  turn();
  expect(said).toEqual(["a", "b", "c", "empty", "d", "empty"]);
});

test("it does not grow beyond its bound", () => {
  const said: string[] = [];
  const { queue } = queueOf(said);
  for (let i = 0; i < limits.sendQueueMax + 1; i++) queue.add({ sendNow: () => said.push("x") });
  expect(said.length).toBe(limits.sendQueueMax + 1);
  expect(said.at(-1)).toBe("empty");
});

test("what is added while it sends is sent, and it is empty only after that", () => {
  const said: string[] = [];
  const { queue, turn } = queueOf(said);
  const add = (name: string, more?: () => void): void =>
    queue.add({
      sendNow: () => {
        said.push(name);
        more?.();
      },
    });
  add("a", () => {
    add("a later");
    add("a now");
    queue.send();
    add("a last");
  });
  add("b");
  turn();
  expect(said).toEqual(["a", "a later", "a now", "b"]);
  turn();
  turn();
  expect(said).toEqual(["a", "a later", "a now", "b", "a last", "empty"]);
});
