import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { SystemError } from "../errors.ts";
import type { Epoch, Txid } from "../ids.ts";
import { Crc64 } from "./crc64.ts";
import { decodeLtx, decodeLtxPageIndex } from "./decode.ts";
import { encodeLtx } from "./encode.ts";
import { type LtxFile, type LtxHeader, type LtxPage, completePages, lockPage, ltxPages } from "./ltx.ts";
import { mergeLtx } from "./merge.ts";
import { LtxStreamDecoder } from "./stream-decode.ts";
import { LtxStreamEncoder } from "./stream-encode.ts";
import { type LtxPageSource, mergePages, planMerge } from "./stream-merge.ts";

const page = (pageSize: number, seed: number): Uint8Array =>
  Uint8Array.from({ length: pageSize }, (_, i) => (i % 7 === 0 ? (seed * 31 + i) & 255 : seed & 255));

const header = (facts: Partial<LtxHeader>): LtxHeader => ({
  pageSize: 512,
  commit: 1,
  minTxid: 1 as Txid,
  maxTxid: 1 as Txid,
  timestampMs: 1_767_225_600_000,
  epoch: 4 as Epoch,
  walOffset: 0,
  walSize: 0,
  salt1: 0,
  salt2: 0,
  ...facts,
});

/** Consecutive files of one database that grows and shrinks. */
const chain = (pageSize: number, from: 1 | 2): fc.Arbitrary<LtxFile[]> =>
  fc
    .array(
      fc.record({
        commit: fc.integer({ min: 1, max: 30 }),
        numbers: fc.uniqueArray(fc.integer({ min: 1, max: 30 })),
        seed: fc.nat(255),
      }),
      { minLength: 1, maxLength: 6 },
    )
    .map((steps) =>
      steps.map(({ commit, numbers, seed }, i) => {
        const txid = (from + i) as Txid;
        const some = new Map(
          numbers
            .filter((pgno) => pgno <= commit)
            .sort((a, b) => a - b)
            .map((pgno) => [pgno, page(pageSize, seed + pgno)]),
        );
        const facts = { pageSize, commit, minTxid: txid, maxTxid: txid, timestampMs: 1_000 - i };
        return { header: header(facts), pages: txid === 1 ? completePages(some, pageSize, commit) : some };
      }),
    );

const encode = ({ header: facts, pages }: LtxFile): Uint8Array => encodeLtx(facts, ltxPages(pages));

function streamed(facts: LtxHeader, pages: Iterable<LtxPage>): Uint8Array {
  const parts: Uint8Array[] = [];
  const encoder = new LtxStreamEncoder(facts, (bytes) => void parts.push(bytes.slice()));
  for (const { pgno, data } of pages) encoder.page(pgno, data);
  encoder.end();
  const whole = Buffer.concat(parts);
  expect(encoder.length).toBe(whole.length);
  return new Uint8Array(whole);
}

/** In pieces of the given sizes, in turn. */
function* pieces(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] as number;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

function decodeStream(bytes: Uint8Array, sizes: readonly number[] = [bytes.length + 1]): LtxFile {
  const decoder = new LtxStreamDecoder();
  const pages = new Map<number, Uint8Array>();
  for (const piece of pieces(bytes, sizes)) {
    decoder.push(piece);
    for (let found = decoder.next(); found !== "more"; found = decoder.next())
      pages.set(found.pgno, found.data.slice());
  }
  const facts = decoder.end();
  expect(decoder.count).toBe(pages.size);
  return { header: facts, pages };
}

const refused = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof SystemError) return error.code;
    throw error;
  }
  return "accepted";
};

const sizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 5 });
const anyChain = fc
  .tuple(fc.constantFrom(512, 1_024, 65_536), fc.constantFrom<1 | 2>(1, 2))
  .chain(([pageSize, from]) => chain(pageSize, from));

describe("LtxStreamDecoder and LtxStreamEncoder", () => {
  test("read and write what decodeLtx and encodeLtx do, however the bytes are cut", () => {
    fc.assert(
      fc.property(anyChain, sizes, ([file], cuts) => {
        if (file === undefined) return;
        const bytes = encode(file);
        expect(streamed(file.header, ltxPages(file.pages))).toEqual(bytes);
        expect(decodeStream(bytes, cuts)).toEqual(decodeLtx(bytes));
      }),
      { numRuns: 60 },
    );
  });

  test("an index of several pieces, and incompressible pages", () => {
    const pages = Array.from({ length: 20_000 }, (_, i) => ({
      pgno: i + 1,
      data: crypto.getRandomValues(new Uint8Array(512)),
    }));
    const facts = header({ commit: pages.length });
    const bytes = streamed(facts, pages);
    expect(Buffer.compare(bytes, encodeLtx(facts, pages))).toBe(0);
    expect(decodeStream(bytes, [100_000]).pages.size).toBe(pages.length);
  });

  test("skip the lock page", () => {
    const pageSize = 65_536;
    const lock = lockPage(pageSize);
    const pages = [lock - 1, lock + 1].map((pgno) => ({ pgno, data: page(pageSize, pgno) }));
    const facts = header({ pageSize, commit: lock + 1, minTxid: 3 as Txid, maxTxid: 3 as Txid });
    const bytes = streamed(facts, pages);
    expect([...decodeStream(bytes).pages.keys()]).toEqual([lock - 1, lock + 1]);
    expect(refused(() => streamed(facts, [{ pgno: lock, data: page(pageSize, 1) }]))).toBe("internal");
  });

  test("refuse a misuse: order, size, a hole in a snapshot", () => {
    const data = page(512, 1);
    const two = header({ commit: 2 });
    expect(refused(() => streamed(two, [{ pgno: 2, data }]))).toBe("internal");
    expect(refused(() => streamed(two, [{ pgno: 1, data }]))).toBe("internal");
    expect(refused(() => streamed(two, [{ pgno: 1, data: new Uint8Array(511) }]))).toBe("internal");
    expect(refused(() => streamed(header({ pageSize: 500 }), []))).toBe("internal");
  });

  test("any bit that flips and any cut is an error, never wrong pages", () => {
    const pages = [1, 2, 4, 9].map((pgno) => ({ pgno, data: page(512, pgno) }));
    const bytes = encodeLtx(header({ commit: 9, minTxid: 5 as Txid, maxTxid: 6 as Txid }), pages);
    const right = decodeLtx(bytes);
    let same = 0;
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      const answer = refused(() => expect(decodeStream(damaged)).toEqual(right));
      if (answer === "accepted") same++;
      else expect(["object_corrupt", "object_version"]).toContain(answer);
    }
    // The checksum is of uncompressed pages: a match may be taken from another place where the same bytes stand.
    expect(same).toBeLessThan(bytes.length / 10);
    for (let length = 0; length < bytes.length; length++)
      expect(refused(() => decodeStream(bytes.subarray(0, length)))).toBe("object_corrupt");
    for (const more of [1, 16, 100])
      expect(refused(() => decodeStream(Buffer.concat([bytes, new Uint8Array(more)])))).toBe(
        "object_corrupt",
      );
  });

  test("an index that leads elsewhere is an error, though the checksum is right", () => {
    const pages = [1, 2].map((pgno) => ({ pgno, data: page(512, pgno) }));
    const facts = header({ commit: 2 });
    const bytes = encodeLtx(facts, pages);
    const found = decodeLtxPageIndex(bytes, bytes.length);
    if (!("pages" in found)) throw new Error("the whole file must be enough");
    const crc = new Crc64().update(bytes, 0, 100);
    let end = 100;
    for (const { pgno, data } of pages) {
      const { offset, size } = found.pages.get(pgno) as { offset: number; size: number };
      crc.update(bytes, offset, offset + 10).update(data);
      end = offset + size;
    }
    // The offset of the first page, which is 100 in one byte.
    expect(bytes[end + 7]).toBe(100);
    bytes[end + 7] = 101;
    crc.update(bytes, end, bytes.length - 8);
    const view = new DataView(bytes.buffer);
    view.setUint32(bytes.length - 8, (crc.high | 0x8000_0000) >>> 0);
    view.setUint32(bytes.length - 4, crc.low);
    expect(() => decodeStream(bytes)).toThrow("its index differs from its pages");
    expect(() => decodeLtx(bytes)).toThrow("its index differs from its pages");
  });

  test("agree with decodeLtx about any damaged file, accepted or refused", () => {
    fc.assert(
      fc.property(
        anyChain,
        sizes,
        fc.array(fc.record({ at: fc.nat(), value: fc.nat(255) }), { minLength: 1, maxLength: 3 }),
        ([file], cuts, changes) => {
          if (file === undefined) return;
          const bytes = encode(file);
          for (const { at, value } of changes) bytes[at % bytes.length] = value;
          const whole = refused(() => decodeLtx(bytes));
          const stream = refused(() => decodeStream(bytes, cuts));
          // One file may have several defects, and the two meet them in another order.
          expect(stream === "accepted").toBe(whole === "accepted");
        },
      ),
      { numRuns: 300 },
    );
  });
});

const sources = (files: readonly LtxFile[]): LtxPageSource[] =>
  files.map(({ header: facts, pages }) => {
    const rest = ltxPages(pages);
    let turn = 0;
    return {
      header: facts,
      next() {
        const { value } = rest.next();
        const found = value === undefined ? undefined : (value as LtxPage);
        return turn++ % 3 === 0 ? Promise.resolve(found) : found;
      },
    };
  });

async function mergeStream(files: readonly LtxFile[]): Promise<LtxFile> {
  const { header: facts, used } = planMerge(files.map((file) => file.header));
  const pages = new Map<number, Uint8Array>();
  await mergePages(facts, sources(used.map((i) => files[i] as LtxFile)), (pgno, data) =>
    pages.set(pgno, data.slice()),
  );
  return { header: facts, pages };
}

describe("mergePages", () => {
  test("gives what mergeLtx gives, pages in order", async () => {
    await fc.assert(
      fc.asyncProperty(anyChain, async (files) => {
        const merged = await mergeStream(files);
        expect(merged).toEqual(mergeLtx(files));
        expect([...merged.pages.keys()]).toEqual([...merged.pages.keys()].sort((a, b) => a - b));
      }),
      { numRuns: 150 },
    );
  });

  test("skips files that an earlier one covers, and refuses a hole and another page size", async () => {
    const file = (min: number, max: number, seed: number, pageSize = 512): LtxFile => ({
      header: header({ minTxid: min as Txid, maxTxid: max as Txid, pageSize }),
      pages: new Map([[1, page(pageSize, seed)]]),
    });
    const overlapping = [file(1, 5, 1), file(3, 4, 2), file(4, 7, 3)];
    expect(await mergeStream(overlapping)).toEqual(mergeLtx(overlapping));
    expect(refused(() => planMerge([file(1, 2, 1).header, file(4, 4, 1).header]))).toBe("chain_gap");
    expect(refused(() => planMerge([file(1, 2, 1).header, file(3, 3, 1, 1_024).header]))).toBe(
      "object_corrupt",
    );
  });
});
