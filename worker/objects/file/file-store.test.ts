import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "../../../shared/limits.ts";
import { getBytes } from "../../../shared/objects/read.ts";
import { caught } from "../contract.fixture.ts";
import { type Disk, realDisk } from "./disk.ts";
import { openFileStore } from "./file-store.ts";
import { objectPath } from "./names.ts";

const home = await fs.mkdtemp(join(tmpdir(), "manybase-file-store-"));
let directories = 0;
const fresh = (): string => join(home, String(directories++));
afterAll(() => fs.rm(home, { recursive: true }));

const body = new TextEncoder().encode("body");
const failure = (code: string): Error => Object.assign(new Error(`${code}: played`), { code });
const fails = (code: string) => (): Promise<never> => Promise.reject(failure(code));
/** A disk of which some calls fail once `broken` is set. */
function breakable(changes: Partial<Disk>): { disk: Disk; breakNow: () => void } {
  let broken = false;
  const disk = new Proxy(realDisk, {
    get: (target, name: keyof Disk) => (broken ? changes[name] : undefined) ?? target[name],
  });
  return { disk, breakNow: () => void (broken = true) };
}

describe("openFileStore", () => {
  test("makes parents, and opens the same store again", async () => {
    const path = join(fresh(), "deep", "down");
    const store = await openFileStore(path);
    await store.put("a/b", body);
    await store.close();
    expect(await getBytes(await openFileStore(path), "a/b")).toEqual(body);
  });

  test("a file in the way, and a directory that cannot be written, are invalid_directory", async () => {
    const path = fresh();
    await fs.writeFile(path, "");
    expect(await caught(openFileStore(path))).toMatchObject({ code: "invalid_directory" });
    expect(await caught(openFileStore(join(path, "below")))).toMatchObject({ code: "invalid_directory" });
    for (const code of ["EACCES", "EROFS"]) {
      const disk = { ...realDisk, mkdir: fails(code) } as Disk;
      const error = await caught(openFileStore(fresh(), { disk }));
      expect(error).toMatchObject({ code: "invalid_directory", message: expect.stringContaining(code) });
    }
  });

  test("a file system without hard links is store_misbehaves, a full one disk_full", async () => {
    const without = { ...realDisk, link: fails("EOPNOTSUPP") } as Disk;
    expect(await caught(openFileStore(fresh(), { disk: without }))).toMatchObject({
      code: "store_misbehaves",
    });
    const full = { ...realDisk, open: fails("ENOSPC") } as Disk;
    expect(await caught(openFileStore(fresh(), { disk: full }))).toMatchObject({ code: "disk_full" });
  });

  test("another format is object_version", async () => {
    const path = fresh();
    await (await openFileStore(path)).close();
    await fs.writeFile(join(path, "format"), "manybase object store 2\n");
    expect(await caught(openFileStore(path))).toMatchObject({ code: "object_version" });
  });

  test("sweeps temporary files of the dead, not of the living", async () => {
    const path = fresh();
    await (await openFileStore(path)).close();
    const temporary = join(path, "temporary");
    await fs.writeFile(join(temporary, "young"), "x");
    await fs.writeFile(join(temporary, "old"), "x");
    const then = new Date(Date.now() - limits.storeTempAgeMs - 60_000);
    await fs.utimes(join(temporary, "old"), then, then);
    await openFileStore(path);
    expect(await fs.readdir(temporary)).toEqual(["young"]);
  });
});

describe("file store: failures of the disk", () => {
  test("a full disk is disk_full and leaves no object and no temporary file", async () => {
    const path = fresh();
    const { disk, breakNow } = breakable({
      open: async (...call: Parameters<Disk["open"]>) => {
        const handle = await realDisk.open(...call);
        if (call[1] === "wx") handle.writev = fails("ENOSPC");
        return handle;
      },
    });
    const store = await openFileStore(path, { disk });
    breakNow();
    expect(await caught(store.putIfAbsent("a", body))).toMatchObject({ code: "disk_full" });
    expect(await caught(store.put("a", body))).toMatchObject({ code: "disk_full" });
    expect(await store.head("a")).toBeUndefined();
    expect(await fs.readdir(join(path, "temporary"))).toEqual([]);
  });

  test("a disk that takes less than it is given gets the rest in further calls", async () => {
    const end = 16;
    for (const taken of [0, 1, body.length - 1, body.length, body.length + 1, body.length + end]) {
      const { disk, breakNow } = breakable({
        open: async (...call: Parameters<Disk["open"]>) => {
          const handle = await realDisk.open(...call);
          handle.writev = async (buffers, position) => {
            const whole = Buffer.concat(
              buffers.map((one) => new Uint8Array(one.buffer, one.byteOffset, one.byteLength)),
            );
            const { bytesWritten } = await handle.write(whole, 0, taken, position);
            return { bytesWritten, buffers };
          };
          return handle;
        },
      });
      const store = await openFileStore(fresh(), { disk });
      breakNow();
      await store.put("a", body);
      expect(await getBytes(store, "a")).toEqual(body);
    }
  });

  test("link: no permission throws, an I/O error is unknown", async () => {
    for (const [code, answer] of [
      ["EACCES", { code: "store_unavailable" }],
      ["ENOSPC", { code: "disk_full" }],
    ] as const) {
      const { disk, breakNow } = breakable({ link: fails(code) });
      const store = await openFileStore(fresh(), { disk });
      breakNow();
      expect(await caught(store.putIfAbsent("a", body))).toMatchObject(answer);
    }
    const { disk, breakNow } = breakable({ link: fails("EIO") });
    const store = await openFileStore(fresh(), { disk });
    breakNow();
    expect(await store.putIfAbsent("a", body)).toBe("unknown");
  });

  test("a directory that cannot be synced makes the outcome unknown, never created", async () => {
    const { disk, breakNow } = breakable({
      open: async (...call: Parameters<Disk["open"]>) => {
        const handle = await realDisk.open(...call);
        if (call[1] === "r") handle.sync = fails("EIO");
        return handle;
      },
    });
    const store = await openFileStore(fresh(), { disk });
    breakNow();
    expect(await store.putIfAbsent("a/b", body)).toBe("unknown");
    expect(await store.putIfAbsent("a/b", body)).toBe("unknown");
  });

  test("a disk that hangs: unknown for putIfAbsent, store_unavailable for the rest", async () => {
    const hangs = (): Promise<never> => Promise.withResolvers<never>().promise;
    const { disk, breakNow } = breakable({ open: hangs, readdir: hangs });
    const store = await openFileStore(fresh(), { disk, requestMs: 30 });
    breakNow();
    expect(await store.putIfAbsent("a", body)).toBe("unknown");
    for (const call of [() => store.put("a", body), () => store.get("a"), () => store.list({ prefix: "" })]) {
      expect(await caught(call())).toMatchObject({ code: "store_unavailable" });
    }
  });

  test("a lost root directory is store_missing for every call, and is not made anew", async () => {
    const path = fresh();
    const store = await openFileStore(path);
    await fs.rename(path, `${path}-gone`);
    const missing = expect.objectContaining({ code: "store_missing" });
    expect(await caught(store.putIfAbsent("a/b", body))).toEqual(missing);
    expect(await caught(store.put("a/b", body))).toEqual(missing);
    expect(await caught(store.get("a/b"))).toEqual(missing);
    expect(await caught(store.head("a/b"))).toEqual(missing);
    expect(await caught(store.list({ prefix: "a/" }))).toEqual(missing);
    expect(await caught(fs.stat(path))).toMatchObject({ code: "ENOENT" });
  });

  test("a cut or changed file is object_corrupt", async () => {
    const path = fresh();
    const store = await openFileStore(path);
    const large = limits.storeReadChunkBytes + 5;
    for (const length of [5, large]) {
      await store.put("a", new Uint8Array(length));
      const file = objectPath(join(path, "objects"), "a").path;
      for (const cut of [length + 15, length - 1, 0]) {
        await fs.truncate(file, cut);
        for (const call of [
          () => store.get("a"),
          () => store.head("a"),
          () => store.range("a", { suffix: 1 }),
        ]) {
          expect(await caught(call())).toMatchObject({ code: "object_corrupt" });
        }
      }
    }
  });
});

describe("file store: cost", () => {
  test("a listing opens only the directories of its subtree", async () => {
    const opened: string[] = [];
    const disk = new Proxy(realDisk, {
      get: (target, name: keyof Disk) => {
        if (name !== "readdir") return target[name];
        return (path: string) => {
          opened.push(path);
          return target.readdir(path);
        };
      },
    });
    const store = await openFileStore(fresh(), { disk });
    const tenant = (n: number): string => `tenants/${String(n).padStart(15, "t")}/litestream/data.db`;
    const keys = Array.from({ length: 30 }, (_, n) => [1, 2].map((file) => `${tenant(n)}/0001/${file}.ltx`));
    await Promise.all(keys.flat().map((key) => store.put(key, body)));
    opened.length = 0;
    expect((await store.list({ prefix: `${tenant(7)}/0001/` })).objects).toHaveLength(2);
    expect(opened).toHaveLength(1);
    opened.length = 0;
    await store.list({ prefix: `${tenant(7)}/` });
    expect(opened).toHaveLength(2);
    opened.length = 0;
    await store.list({ prefix: "tenants/", limit: 1 });
    expect(opened.length).toBeLessThan(8);
  });

  test("numbered objects spread over directories, and a listing skips those before its start", async () => {
    const path = fresh();
    const store = await openFileStore(path);
    const key = (n: number): string =>
      `workers/0000000000000001/log/${n.toString(16).padStart(16, "0")}.wlog`;
    const numbers = [1, 2, 4095, 4096, 4097, 8192, 12_288];
    await Promise.all(numbers.map((n) => store.putIfAbsent(key(n), body)));
    const log = objectPath(join(path, "objects"), "workers/0000000000000001/log/x").directory;
    expect(await fs.readdir(log)).toHaveLength(4);
    const page = await store.list({
      prefix: "workers/0000000000000001/log/",
      startAfter: key(4096),
      limit: 2,
    });
    expect(page.objects.map((object) => object.key)).toEqual([key(4097), key(8192)]);
    expect(page.next).toBe(key(8192));
  });

  test("a directory emptied by deletes goes, while writers race to fill it", async () => {
    const path = fresh();
    const stores = await Promise.all([openFileStore(path), openFileStore(path)]);
    const lanes = Array.from({ length: 8 }, async (_, lane) => {
      const store = stores[lane % 2];
      for (let round = 0; store !== undefined && round < 25; round++) {
        expect(await store.putIfAbsent(`a/b/c/${lane}`, body)).toBe("created");
        await store.delete([`a/b/c/${lane}`]);
      }
    });
    await Promise.all(lanes);
    expect(await fs.readdir(join(path, "objects"))).toEqual([]);
  });

  test("streams that are cancelled, aborted or forgotten give their file handles back", async () => {
    let opened = 0;
    let closed = 0;
    const watched = async (...call: Parameters<Disk["open"]>) => {
      const handle = await realDisk.open(...call);
      if (!String(call[0]).endsWith("large=")) return handle;
      opened++;
      const close = handle.close.bind(handle);
      handle.close = () => {
        closed++;
        return close();
      };
      return handle;
    };
    const disk: Disk = { ...realDisk, open: watched };
    const store = await openFileStore(fresh(), { disk, readIdleMs: 20 });
    await store.put("large", new Uint8Array(3 * limits.storeReadChunkBytes));
    const controller = new AbortController();
    const get = async (): Promise<ReadableStream<Uint8Array> | undefined> =>
      (await store.get("large", { signal: controller.signal }))?.stream;
    await (await get())?.cancel();
    const half = (await get())?.getReader();
    await half?.read();
    await half?.cancel();
    expect([opened, closed]).toEqual([2, 2]);
    const forgotten = [await get(), await get()];
    const stopped = (await get())?.getReader();
    await stopped?.read();
    controller.abort(new Error("enough"));
    await caught(Promise.resolve(stopped?.read()));
    await Bun.sleep(60);
    expect([opened, closed]).toEqual([5, 5]);
    expect(forgotten).toHaveLength(2);
  });

  test("bodies stream both ways in flat memory", async () => {
    const store = await openFileStore(fresh());
    const chunk = new Uint8Array(1024 * 1024);
    const chunks = 500;
    let sent = 0;
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent++ < chunks) controller.enqueue(chunk);
        else controller.close();
      },
    });
    Bun.gc(true);
    const before = process.memoryUsage.rss();
    await store.put("large", { stream, length: chunks * chunk.length });
    let received = 0;
    for await (const part of (await store.get("large"))?.stream ?? []) received += part.length;
    expect(received).toBe(chunks * chunk.length);
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * chunk.length);
  });
});
