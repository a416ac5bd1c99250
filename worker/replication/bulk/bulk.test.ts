import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemError } from "../../../shared/errors.ts";
import type { Epoch, Txid } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { decodeLtx } from "../../../shared/ltx/decode.ts";
import { encodeLtx } from "../../../shared/ltx/encode.ts";
import { type LtxFile, completePages, ltxPages } from "../../../shared/ltx/ltx.ts";
import { mergeLtx } from "../../../shared/ltx/merge.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { openObjectStore } from "../../objects/open.ts";
import { buildDatabase } from "../build-database.ts";
import { systemClock } from "../clock.ts";
import { finishDatabaseFile } from "../database-file.ts";
import type { Fetching } from "../fetch-object.ts";
import { sha256Text } from "../hash.ts";
import { type ChunkSource, inTurn, sideBySide } from "./chunks.ts";
import { inlineWork } from "./inline.ts";
import { bulkThreads } from "./threads.ts";
import { type BulkInput, type BulkWork, noChunks } from "./work.ts";

let directory: string;
let store: ObjectStore;
let from: Fetching;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "bulk-"));
  store = await openObjectStore(`file:${join(directory, "store")}`, {});
  from = { store, clock: systemClock, signal: new AbortController().signal };
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const works: [string, BulkWork][] = [
  ["in this thread", inlineWork],
  ["in threads", bulkThreads()],
];

/** Pages of noise, so that a few of them are megabytes of LTX. */
function file(min: number, max: number, pgnos: readonly number[], commit: number, pageSize = 4_096): LtxFile {
  const header = {
    pageSize,
    commit,
    minTxid: min as Txid,
    maxTxid: max as Txid,
    timestampMs: 1_000 + max,
    epoch: 3 as Epoch,
    walOffset: 0,
    walSize: 0,
    salt1: 0,
    salt2: 0,
  };
  const some = new Map(pgnos.map((pgno) => [pgno, crypto.getRandomValues(new Uint8Array(pageSize))]));
  return { header, pages: min === 1 ? completePages(some, pageSize, commit) : some };
}

const upTo = (end: number): number[] => Array.from({ length: end }, (_, i) => i + 1);

interface Stored {
  input: BulkInput;
  source: ChunkSource;
}

async function put(name: string, ltx: LtxFile): Promise<Stored> {
  const bytes = encodeLtx(ltx.header, ltxPages(ltx.pages));
  await store.put(name, bytes);
  const { minTxid, maxTxid } = ltx.header;
  return { input: { name, minTxid, maxTxid }, source: { key: name, size: bytes.length } };
}

function image(files: readonly LtxFile[]): Uint8Array {
  const { header, pages } = mergeLtx(files);
  const whole = new Uint8Array(header.commit * header.pageSize);
  for (const [pgno, data] of pages) whole.set(data, (pgno - 1) * header.pageSize);
  return whole;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "done",
    (error: unknown) => (error instanceof SystemError ? error.code : String(error)),
  );
}

const databasePath = (): string => join(directory, "data.db");
const inputs = (stored: readonly Stored[]): BulkInput[] => stored.map(({ input }) => input);
const sources = (stored: readonly Stored[]): ChunkSource[] => stored.map(({ source }) => source);

for (const [where, work] of works) {
  describe(`large files ${where}`, () => {
    const restore = async (steps: readonly Stored[], signal = from.signal): Promise<Uint8Array> => {
      const job = { path: databasePath(), inputs: inputs(steps) };
      await work.run("restore", job, inTurn({ ...from, signal }, sources(steps)), signal);
      finishDatabaseFile(databasePath());
      return readFileSync(databasePath());
    };

    test("restore: a chain in many pieces is the database, byte for byte", async () => {
      const files = [
        file(1, 4, upTo(5_000), 5_000),
        file(5, 6, [1, 7, 4_999], 5_000),
        file(7, 9, [2, 3], 4_000),
        file(10, 10, [4_500], 4_500),
      ];
      const stored = await Promise.all(files.map((one, i) => put(`files/${i}`, one)));
      const [snapshot] = stored.map(({ source }) => (source as { size: number }).size);
      expect(snapshot).toBeGreaterThan(limits.restoreRangeBytes * 2);
      expect(Buffer.compare(await restore(stored), image(files))).toBe(0);
    });

    test("restore: bytes that are here already, and a hash", async () => {
      const ltx = file(1, 1, [1, 2], 2);
      const bytes = encodeLtx(ltx.header, ltxPages(ltx.pages));
      const step = await put("one", ltx);
      const right = { ...step, input: { ...step.input, sha256: sha256Text(bytes) } };
      expect(Buffer.compare(await restore([{ ...right, source: { bytes } }]), image([ltx]))).toBe(0);
      expect(await restore([right])).toEqual(readFileSync(databasePath()));
      const wrong = { ...step, input: { ...step.input, sha256: sha256Text(bytes.subarray(1)) } };
      expect(await codeOf(restore([wrong]))).toBe("object_corrupt");
    });

    test("restore: what is damaged, cut, foreign, newer or gone has a name each, and nothing is put in place", async () => {
      const ltx = file(1, 3, upTo(3_000), 3_000);
      const step = await put("one", ltx);
      const { size } = step.source as { size: number };
      const bytes = encodeLtx(ltx.header, ltxPages(ltx.pages));
      const broken = async (
        change: (copy: Uint8Array) => Uint8Array,
        input = step.input,
      ): Promise<string> => {
        const copy = change(bytes.slice());
        await store.put("one", copy);
        const source = { key: "one", size: copy.length };
        return codeOf(restore([{ input, source }]));
      };
      const flip = (at: number) => (copy: Uint8Array) => {
        copy[at] = (copy[at] as number) ^ 1;
        return copy;
      };
      expect(await broken(flip(size - 9_000_000))).toBe("object_corrupt");
      expect(await broken(flip(size - 1))).toBe("object_corrupt");
      expect(await broken((copy) => copy.subarray(0, size - 1))).toBe("object_corrupt");
      expect(await broken((copy) => copy.subarray(0, 50))).toBe("object_corrupt");
      expect(await broken(flip(7))).toBe("object_version");
      expect(await broken((copy) => (copy.set([0x32], 3), copy))).toBe("object_version");
      expect(await broken((copy) => copy, { ...step.input, maxTxid: 4 as Txid })).toBe("object_foreign");
      expect(await codeOf(restore([{ ...step, source: { key: "one", size: size + 1 } }]))).toBe(
        "object_corrupt",
      );
      await store.delete(["one"]);
      expect(await codeOf(restore([step]))).toBe("chain_gap");
      expect(existsSync(databasePath())).toBe(false);
    });

    test("a full disk is disk_full, and says what to do", async () => {
      const step = await put("one", file(1, 3, upTo(100), 100));
      // Takes nothing: every write is ENOSPC.
      symlinkSync("/dev/full", `${databasePath()}.restoring`);
      const job = { path: databasePath(), inputs: inputs([step]) };
      const error = await work
        .run("restore", job, inTurn(from, sources([step])), from.signal)
        .catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "disk_full", hint: expect.stringContaining("Free space") });
      const target = join(directory, "full");
      symlinkSync("/dev/full", target);
      const merge = { target, inputs: inputs([step]), snapshot: true };
      expect(await codeOf(work.run("merge", merge, sideBySide(from, sources([step])), from.signal))).toBe(
        "disk_full",
      );
    });

    test("merge: a snapshot from objects is what the files say, and one file of a chain is its merge", async () => {
      const files = [
        file(1, 4, upTo(4_000), 4_000),
        ...Array.from({ length: 30 }, (_, i) => file(5 + i, 5 + i, [i + 1, i * 100 + 1], 4_000 - i)),
      ];
      const stored = await Promise.all(files.map((one, i) => put(`files/${i}`, one)));
      const target = join(directory, "out");
      const merge = async (which: readonly Stored[], snapshot: boolean): Promise<LtxFile[]> => {
        const chunks = sideBySide(from, sources(which));
        const job = { target, inputs: inputs(which), snapshot };
        const result = await work.run("merge", job, chunks, from.signal);
        return result.files.map(({ path, header, length }) => {
          const bytes = readFileSync(path);
          expect(bytes.length).toBe(length);
          const ltx = decodeLtx(bytes);
          expect(ltx.header).toEqual(header);
          return ltx;
        });
      };
      const [whole] = await merge(stored, true);
      expect(whole?.header).toEqual(mergeLtx(files).header);
      expect(Buffer.compare(image([whole as LtxFile]), image(files))).toBe(0);
      expect(await merge(stored.slice(1), false)).toEqual([mergeLtx(files.slice(1))]);
    });

    test("merge: where the page size changes a snapshot begins and a merge is two", async () => {
      const files = [
        file(1, 1, [1, 2], 2, 512),
        file(2, 2, [2], 2, 512),
        file(3, 3, [1, 2, 3], 3, 1_024),
        file(4, 4, [2, 5], 5, 1_024),
      ];
      const stored = await Promise.all(files.map((one, i) => put(`files/${i}`, one)));
      const job = { target: join(directory, "out"), inputs: inputs(stored) };
      const run = (snapshot: boolean, which = stored) =>
        work.run(
          "merge",
          { ...job, inputs: inputs(which), snapshot },
          sideBySide(from, sources(which)),
          from.signal,
        );
      const both = await run(false);
      expect(both.files.map(({ path }) => decodeLtx(readFileSync(path)))).toEqual([
        mergeLtx(files.slice(0, 2)),
        mergeLtx(files.slice(2)),
      ]);
      const [snapshot] = (await run(true)).files;
      const read = decodeLtx(readFileSync(snapshot?.path ?? ""));
      expect(read.header).toMatchObject({ minTxid: 1, maxTxid: 4, pageSize: 1_024, commit: 5 });
      expect(Buffer.compare(image([read]), image(files.slice(2)))).toBe(0);
      // Without all pages nothing can begin there.
      const partial = [...stored.slice(0, 2), await put("partial", file(3, 3, [1], 3, 1_024))];
      expect(await codeOf(run(true, partial))).toBe("object_corrupt");
    });

    test("encode: a file becomes the LTX of its pages, with its hash", async () => {
      const ltx = file(1, 1, upTo(600), 600, 8_192);
      const bytes = image([ltx]);
      // Where SQLite keeps the page size.
      bytes.set([0x20, 0], 16);
      const source = join(directory, "source.db");
      writeFileSync(source, bytes);
      const facts = { minTxid: 9 as Txid, maxTxid: 9 as Txid, timestampMs: 77, epoch: 5 as Epoch };
      const target = join(directory, "out.ltx");
      const made = await work.run("encode", { source, target, facts }, noChunks, from.signal);
      const written = readFileSync(target);
      expect(made).toMatchObject({ length: written.length, sha256: sha256Text(written) });
      const read = decodeLtx(written);
      expect(read.header).toMatchObject({ ...facts, pageSize: 8_192, commit: 600 });
      expect(Buffer.compare(image([read]), bytes)).toBe(0);
      truncateSync(source, 8_192 * 3 + 1);
      expect(await codeOf(work.run("encode", { source, target, facts }, noChunks, from.signal))).toBe(
        "internal",
      );
    });

    test("an abort ends a job, with the signal's reason", async () => {
      const step = await put("one", file(1, 3, upTo(6_000), 6_000));
      const leaving = new AbortController();
      const reason = new SystemError("fenced", "Cannot go on");
      let reads = 0;
      const chunks = inTurn({ ...from, signal: leaving.signal }, [step.source]);
      const counted = {
        next(input: number) {
          if (++reads === 2) leaving.abort(reason);
          return chunks.next(input);
        },
      };
      const job = { path: databasePath(), inputs: [step.input] };
      expect(await codeOf(work.run("restore", job, counted, leaving.signal))).toBe("fenced");
      expect(await codeOf(work.run("restore", job, counted, leaving.signal))).toBe("fenced");
    });
  });
}

test("a thread that was given up serves the next job, and late pieces of the first are not taken for the second's", async () => {
  const files = await Promise.all([1, 2, 3].map((i) => put(`files/${i}`, file(1, i, upTo(3_000), 3_000))));
  const work = bulkThreads();
  const failing = new AbortController();
  const jobs = files.flatMap((step, i) => {
    const path = join(directory, `${i}.db`);
    const slow = {
      next: async (input: number) => {
        await Bun.sleep(20);
        if (i === 1) throw new SystemError("store_unavailable", "Cannot read");
        return chunks.next(input);
      },
    };
    const chunks = inTurn(from, [step.source]);
    return [
      codeOf(work.run("restore", { path, inputs: [step.input] }, slow, failing.signal)),
      codeOf(
        work.run(
          "restore",
          { path: `${path}2`, inputs: [step.input] },
          inTurn(from, [step.source]),
          from.signal,
        ),
      ),
    ];
  });
  expect(await Promise.all(jobs)).toEqual(["done", "done", "store_unavailable", "done", "done", "done"]);
});

test("a store that fails for a moment costs a restore nothing but time", async () => {
  const step = await put("one", file(1, 3, upTo(5_000), 5_000));
  let failures = 0;
  const flaky: ObjectStore = new Proxy(store, {
    get(target, name): unknown {
      if (name !== "range") return Reflect.get(target, name, target);
      return (...call: Parameters<ObjectStore["range"]>) => {
        if (failures++ % 2 === 0) return Promise.reject(new SystemError("store_unavailable", "Cannot read"));
        return target.range(...call);
      };
    },
  });
  const quick = { ...systemClock, after: (_: number, run: () => void) => systemClock.after(0, run) };
  const options = { ...from, store: flaky, clock: quick, work: bulkThreads() };
  expect(await buildDatabase(options, databasePath(), [step])).toHaveLength(1);
  expect(failures).toBeGreaterThan(4);
  failures = -1_000_000;
  const never: ObjectStore = new Proxy(flaky, {
    get: (target, name): unknown =>
      name === "range"
        ? () => Promise.reject(new SystemError("store_unavailable", "Cannot read"))
        : Reflect.get(target, name, target),
  });
  expect(await codeOf(buildDatabase({ ...options, store: never }, databasePath(), [step]))).toBe(
    "store_unavailable",
  );
});
