import { expect, test } from "bun:test";
import type { Disk } from "../log/disk.ts";
import { Identities } from "./identities.ts";

/** Names and their contents in memory; fails while told to. */
function memoryDisk(): { disk: Disk; files: Map<string, Uint8Array>; fail: (failing: boolean) => void } {
  const files = new Map<string, Uint8Array>();
  let failing = false;
  const disk: Disk = {
    list: () => Promise.resolve([...files.keys()]),
    read: (name) => Promise.resolve(files.get(name) ?? new Uint8Array()),
    async *pieces(name) {
      await Promise.resolve();
      yield files.get(name) ?? new Uint8Array();
    },
    open: (name) =>
      Promise.resolve({
        write: (bytes: Uint8Array) => {
          files.set(name, bytes.slice());
          return Promise.resolve();
        },
        truncate: () => Promise.resolve(),
        sync: () => (failing ? Promise.reject(new Error("no space")) : Promise.resolve()),
        close: () => Promise.resolve(),
      }),
    rename: (from, to) => {
      files.set(to, files.get(from) ?? new Uint8Array());
      files.delete(from);
      return Promise.resolve();
    },
    remove: (name) => Promise.resolve(void files.delete(name)),
    syncDirectory: () => Promise.resolve(),
  };
  return { disk, files, fail: (now) => void (failing = now) };
}

test("what could not be written is not remembered, and is written when it is told again", async () => {
  const { disk, fail } = memoryDisk();
  const identities = await Identities.open(disk, () => "own");
  fail(true);
  await expect(identities.remember("b", "one")).rejects.toThrow("no space");
  // Not written down: a restart would know nothing of it, so it must not count now either.
  await expect(identities.remember("b", "one")).rejects.toThrow("no space");
  fail(false);
  await identities.remember("b", "one");
  const again = await Identities.open(disk, () => "other");
  expect(again.instance).toBe("own");
  expect(() => again.check("b", "two")).toThrow("data directory is not the one");
  again.check("b", "one");
});

test("who is remembered twice at once is on disk for both", async () => {
  const { disk, files } = memoryDisk();
  const identities = await Identities.open(disk, () => "own");
  void identities.remember("b", "one");
  await identities.remember("b", "one");
  expect(new TextDecoder().decode(files.get("members.json"))).toContain('"b":"one"');
});

test("of two directories with one id that come at once, the first counts", async () => {
  const { disk } = memoryDisk();
  const identities = await Identities.open(disk, () => "own");
  const first = identities.remember("b", "one");
  await expect(identities.remember("b", "two")).rejects.toThrow("data directory is not the one");
  await first;
  identities.check("b", "one");
});

test("a removed member's id may come back with another directory", async () => {
  const { disk } = memoryDisk();
  const identities = await Identities.open(disk, () => "own");
  await identities.remember("b", "one");
  await identities.keepOnly(new Set(["b"]));
  expect(() => identities.check("b", "two")).toThrow();
  await identities.keepOnly(new Set(["c"]));
  identities.check("b", "two");
});
