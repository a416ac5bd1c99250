import { afterAll, expect, test } from "bun:test";
import { mkdtemp, readFile, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "../../../shared/limits.ts";
import type { Snapshot } from "../core/types.ts";
import { nodeDisk } from "../driver/node-disk.ts";
import { SnapshotHash } from "./snapshot-hash.ts";
import { SnapshotStore, snapshotBytes, snapshotHash } from "./snapshot-store.ts";

const directories: string[] = [];
afterAll(() => Promise.all(directories.map((directory) => rm(directory, { recursive: true }))));

async function saved(chunks: Uint8Array[]) {
  const directory = await mkdtemp(join(tmpdir(), "snapshot-store-"));
  directories.push(directory);
  const store = new SnapshotStore(nodeDisk(directory));
  const data = await store.save({ index: 5, term: 2 }, chunks);
  const snapshot: Snapshot = { index: 5, term: 2, membership: { voters: ["a"], learners: [] }, data };
  const [name = ""] = await readdir(directory);
  return { store, snapshot, file: join(directory, name) };
}

const sizes = [0, 1, 1_000, limits.raftSnapshotReadBytes - 9, limits.raftSnapshotReadBytes * 2 + 7, 3];
const chunks = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));

test("chunks of any size come back as they were, whatever the pieces that the file is read in", async () => {
  const { store, snapshot, file } = await saved(chunks);
  expect(await Array.fromAsync(store.load(snapshot))).toEqual(chunks);
  expect(snapshotBytes(snapshot)).toBe((await readFile(file)).length);
  const hash = new SnapshotHash();
  for (const chunk of chunks) hash.add(chunk);
  expect(snapshotHash(snapshot)).toBe(hash.digest());
});

test("a file that goes while it is read is read to its end", async () => {
  const { store, snapshot } = await saved(chunks);
  const seen: Uint8Array[] = [];
  for await (const chunk of store.load(snapshot)) {
    if (seen.length === 0) await store.removeBefore({ ...snapshot, index: 6 });
    seen.push(chunk);
  }
  expect(seen).toEqual(chunks);
  await expect(Array.fromAsync(store.load(snapshot))).rejects.toMatchObject({ code: "log_corrupt" });
});

test("what is not the whole file as it was written is refused, wherever it differs", async () => {
  const { store, snapshot, file } = await saved([chunks[2]!, chunks[1]!]);
  const whole = await readFile(file);
  const refused = async (bytes: Uint8Array): Promise<void> => {
    await writeFile(file, bytes);
    await expect(Array.fromAsync(store.load(snapshot))).rejects.toMatchObject({ code: "log_corrupt" });
  };
  for (let at = 0; at < whole.length; at += 31) {
    const damaged = Uint8Array.from(whole);
    damaged[at]! ^= 1;
    await refused(damaged);
  }
  await refused(new Uint8Array());
  await refused(whole.subarray(0, whole.length - 1));
  // The end of a frame: only the length tells.
  await refused(whole.subarray(0, whole.length - 9));
  await refused(Buffer.concat([whole, new Uint8Array(8)]));
  // Frames that are all sound, in another order: only the hash of the whole tells.
  const { file: other } = await saved([chunks[1]!, chunks[2]!]);
  await refused(await readFile(other));
  await writeFile(file, whole);
  await truncate(file, whole.length);
  expect(await Array.fromAsync(store.load(snapshot))).toHaveLength(2);
});
