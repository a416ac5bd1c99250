import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "../../shared/limits.ts";
import { WalFile } from "./wal-file.ts";

let directory: string;
let files: WalFile[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "wal-file-"));
  files = [];
});
afterEach(() => {
  for (const file of files) file.close();
  rmSync(directory, { recursive: true, force: true });
});

function open(name: string): WalFile {
  const path = join(directory, name);
  writeFileSync(path, name);
  const file = new WalFile(path);
  files.push(file);
  return file;
}

/** Others are read, so that it is closed. */
function crowdOut(): void {
  for (let index = 0; index < limits.walFilesOpenMax; index++) open(`other${index}`);
}

test("WalFile is opened again when others were read meanwhile", () => {
  const file = open("a");
  crowdOut();
  const buffer = new Uint8Array(1);
  expect(readSync(file.descriptor ?? -1, buffer)).toBe(1);
  expect(new TextDecoder().decode(buffer)).toBe("a");
});

test("WalFile does not take another file for its own", () => {
  const [gone, replaced] = [open("gone"), open("replaced")];
  writeFileSync(join(directory, "new"), "new");
  crowdOut();
  rmSync(gone.path);
  renameSync(join(directory, "new"), replaced.path);
  expect(gone.descriptor).toBeUndefined();
  expect(replaced.descriptor).toBeUndefined();
});
