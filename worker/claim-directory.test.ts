import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseIncarnation } from "../shared/ids.ts";
import { claimDirectory } from "./claim-directory.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "manybase-claim-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("remembers the incarnation of a process that is gone, unless it left cleanly", () => {
  const first = claimDirectory(join(directory, "new"));
  expect(first.previous()).toBeUndefined();
  first.note(parseIncarnation(65_536));
  writeFileSync(join(directory, "new", "worker.pid"), "999999999");
  const second = claimDirectory(join(directory, "new"));
  expect(second.previous()).toBe(parseIncarnation(65_536));
  second.left();
  expect(claimDirectory(join(directory, "new")).previous()).toBeUndefined();
});

test("refuses a directory in which a live process works", () => {
  writeFileSync(join(directory, "worker.pid"), String(process.ppid));
  expect(() => claimDirectory(directory)).toThrow(`the worker with process id ${process.ppid} runs there`);
});

test("says that a directory cannot be written", () => {
  writeFileSync(join(directory, "file"), "");
  expect(() => claimDirectory(join(directory, "file", "worker"))).toThrow(/Cannot write to/);
});
