import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blockKey } from "../../shared/objects/layout.ts";
import { openObjectStore } from "../objects.ts";
import { claimRestoreBlock } from "./claim-restore-block.ts";

const directory = mkdtempSync(join(tmpdir(), "manybase-restore-block-"));
afterAll(() => rmSync(directory, { recursive: true }));

test("a restore claims the block after every claimed one, also after one whose claim is missing", async () => {
  const objects = await openObjectStore(`file:${directory}`, {});
  const signal = AbortSignal.timeout(10_000);
  expect(await claimRestoreBlock(objects, signal)).toBe(1);
  expect(await claimRestoreBlock(objects, signal)).toBe(2);
  expect(await claimRestoreBlock(objects, signal, 40)).toBe(41);
  // What is known for sure may be less than what is there.
  expect(await claimRestoreBlock(objects, signal, 3)).toBe(42);
  expect(await objects.head(blockKey(41))).toBeDefined();
});
