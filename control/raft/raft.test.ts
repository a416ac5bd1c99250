import { afterAll, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemError, UserError } from "../../shared/errors.ts";
import { describeReplicatedStore, put, write } from "../store/contract.suite.ts";
import type { ReplicatedStore } from "../store/contract.ts";
import { noTransport } from "./driver/transport.ts";
import { openRaftStore } from "./open.ts";

const directories: string[] = [];

async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "manybase-raft-"));
  directories.push(directory);
  return directory;
}

afterAll(async () => {
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
});

for (const [name, snapshotEvery] of [
  ["raft, one member", 10_000],
  ["raft, one member, a snapshot every 3 entries", 3],
] as const) {
  describeReplicatedStore(name, async () => {
    const directory = await newDirectory();
    let store = await openRaftStore({ directory, snapshotEvery });
    return {
      store,
      leads: true,
      async restart() {
        await store.close();
        store = await openRaftStore({ directory, snapshotEvery });
        return store;
      },
      dispose: () => store.close(),
    };
  });
}

async function lastSegment(directory: string): Promise<string> {
  const names = (await readdir(directory)).filter((name) => name.startsWith("log-")).sort();
  return join(directory, names.at(-1)!);
}

async function filled(directory: string, count: number): Promise<void> {
  const store = await openRaftStore({ directory });
  for (let i = 0; i < count; i++) await write(store, put(`k/${String(i).padStart(3, "0")}`, i));
  await store.close();
}

async function keys(store: ReplicatedStore): Promise<number> {
  return (await store.range("k/")).kvs.length;
}

async function openError(directory: string): Promise<SystemError> {
  const error = await openRaftStore({ directory }).then(
    async (store) => {
      await store.close();
      return undefined;
    },
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SystemError);
  return error as SystemError;
}

describe("openRaftStore: a damaged directory", () => {
  test("cuts a torn last record and goes on writing after it", async () => {
    const directory = await newDirectory();
    await filled(directory, 10);
    const segment = await lastSegment(directory);
    const { length } = await readFile(segment);
    await truncate(segment, length - 5);
    const store = await openRaftStore({ directory });
    expect(await keys(store)).toBe(9);
    await write(store, put("k/new", 1));
    await store.close();
    const again = await openRaftStore({ directory });
    expect(await keys(again)).toBe(10);
    await again.close();
  });

  test("cuts a last record whose sectors never arrived", async () => {
    const directory = await newDirectory();
    const store = await openRaftStore({ directory });
    await write(store, put("k/first", 1));
    const segment = await lastSegment(directory);
    const before = (await readFile(segment)).length;
    await write(store, put("k/large", "x".repeat(5_000)));
    await store.close();
    const file = await readFile(segment);
    file.fill(0, before + 1_000, before + 3_000);
    await writeFile(segment, file);
    const again = await openRaftStore({ directory });
    expect(await keys(again)).toBe(1);
    await again.close();
  });

  test("refuses to start on a flipped bit anywhere in the log", async () => {
    const directory = await newDirectory();
    await filled(directory, 5);
    const segment = await lastSegment(directory);
    const whole = await readFile(segment);
    // Every bit of the last record, which a careless reader takes for torn, and one here and there before.
    const tail = (whole.length - 150) * 8;
    for (let bit = 0; bit < whole.length * 8; bit += bit < tail ? 61 : 1) {
      const damaged = Buffer.from(whole);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      await writeFile(segment, damaged);
      const error = await openError(directory);
      expect({ bit, code: error.code }).toEqual({ bit, code: "log_corrupt" });
      expect(error.hint).toContain("restore");
    }
    await writeFile(segment, whole);
    const store = await openRaftStore({ directory });
    expect(await keys(store)).toBe(5);
    await store.close();
  }, 20_000);

  test("refuses to start when a snapshot is damaged or missing", async () => {
    const directory = await newDirectory();
    const store = await openRaftStore({ directory, snapshotEvery: 4 });
    const snapshots = async () => (await readdir(directory)).filter((file) => /^snapshot-.*\d$/.test(file));
    let count = 0;
    let oldest: string | undefined;
    // Until one has taken the place of another: then the log names it.
    for (let names = await snapshots(); count < 20 || oldest === undefined || names.includes(oldest);) {
      await write(store, put(`k/${count}`, count));
      count += 1;
      names = await snapshots();
      oldest ??= names[0];
    }
    await store.close();
    const whole = new Map<string, Buffer>();
    for (const name of await snapshots()) whole.set(name, await readFile(join(directory, name)));
    for (const [name, bytes] of whole) {
      const damaged = Buffer.from(bytes);
      damaged[damaged.length >> 1]! ^= 4;
      await writeFile(join(directory, name), damaged);
    }
    expect((await openError(directory)).code).toBe("log_corrupt");
    for (const name of whole.keys()) await rm(join(directory, name));
    expect((await openError(directory)).code).toBe("log_corrupt");
    for (const [name, bytes] of whole) await writeFile(join(directory, name), bytes);
    const again = await openRaftStore({ directory });
    expect(await keys(again)).toBe(count);
    await again.close();
  });

  test("refuses a directory that is open already, until it is closed", async () => {
    const directory = await newDirectory();
    const store = await openRaftStore({ directory });
    const error = await openRaftStore({ directory }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).code).toBe("invalid_directory");
    await store.close();
    await (await openRaftStore({ directory })).close();
  });
});

describe("openRaftStore: as one of several", () => {
  test("refuses a directory of another member or cluster", async () => {
    const directory = await newDirectory();
    const founders = ["a", "b", "c"];
    const cluster = { clusterId: "c1", memberId: "a", founders, transport: noTransport };
    await (await openRaftStore({ directory, cluster })).close();
    for (const other of [{ clusterId: "c2" }, { memberId: "b" }]) {
      const error = await openRaftStore({ directory, cluster: { ...cluster, ...other } }).catch(
        (e: unknown) => e,
      );
      expect((error as UserError).code).toBe("invalid_directory");
      expect((error as UserError).message).toContain("belongs to member a of cluster c1");
    }
    const store = await openRaftStore({ directory, cluster });
    expect((await store.members()).map((member) => [member.id, member.role])).toEqual(
      founders.map((id) => [id, "follower"]),
    );
    expect(await store.health()).toMatchObject({ ok: false });
    await store.close();
  });
});

describe("openRaftStore: kill -9", () => {
  test("keeps every acknowledged txn, over several lives of the process", async () => {
    const directory = await newDirectory();
    const acknowledged = new Map<string, number>();
    for (let life = 0; life < 4; life++) {
      const child = Bun.spawn(
        [process.execPath, join(import.meta.dir, "kill-child.ts"), directory, `${life}`],
        {
          stdout: "pipe",
          stderr: "inherit",
        },
      );
      const killAfter = 150 + life * 60;
      let text = "";
      const decoder = new TextDecoder();
      for await (const chunk of child.stdout) {
        text += decoder.decode(chunk, { stream: true });
        if (text.split("\n").length > killAfter) child.kill("SIGKILL");
      }
      await child.exited;
      expect(child.signalCode).toBe("SIGKILL");
      for (const line of text.split("\n").slice(0, -1)) {
        const [key, rev] = line.split(" ");
        acknowledged.set(key!, Number(rev));
      }
      const store = await openRaftStore({ directory });
      const found = new Map((await store.range("k/")).kvs.map((kv) => [kv.key, kv.modRev as number]));
      for (const [key, rev] of acknowledged) expect([key, found.get(key)]).toEqual([key, rev]);
      await store.close();
    }
    expect(acknowledged.size).toBeGreaterThan(400);
  }, 30_000);
});
