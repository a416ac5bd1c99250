import { expect, test } from "bun:test";
import { parseIncarnation } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { Breakers } from "./breakers.ts";

const worker = parseIncarnation(1);

test("opens after failures in a row, then lets one try at a time, longer apart each time", () => {
  let nowMs = 0;
  const breakers = new Breakers(() => nowMs);
  for (let i = 0; i < limits.breakerFailuresMax; i++) {
    expect(breakers.admits(worker)).toBe(true);
    breakers.failed(worker);
  }
  expect(breakers.admits(worker)).toBe(false);
  nowMs += limits.breakerOpenMsMin;
  expect(breakers.admits(worker)).toBe(true);
  expect(breakers.admits(worker)).toBe(false);
  breakers.failed(worker);
  nowMs += limits.breakerOpenMsMin;
  expect(breakers.admits(worker)).toBe(false);
  nowMs += limits.breakerOpenMsMin;
  expect(breakers.admits(worker)).toBe(true);
  breakers.worked(worker);
  expect(breakers.admits(worker)).toBe(true);
  expect(breakers.admits(worker)).toBe(true);
});

test("a success in between starts the count anew; other workers are not concerned", () => {
  const breakers = new Breakers(() => 0);
  for (let i = 0; i < limits.breakerFailuresMax * 2; i++) {
    breakers.failed(worker);
    if (i % 2 === 1) breakers.worked(worker);
  }
  expect(breakers.admits(worker)).toBe(true);
  for (let i = 0; i < limits.breakerFailuresMax; i++) breakers.failed(worker);
  expect(breakers.admits(worker)).toBe(false);
  expect(breakers.admits(parseIncarnation(2))).toBe(true);
});
