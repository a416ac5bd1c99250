import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { SystemError } from "../errors.ts";
import type { Epoch, Txid } from "../ids.ts";
import { decodeLtx, decodeLtxHeader, decodeLtxPage, decodeLtxPageIndex } from "./decode.ts";
import { encodeLtx } from "./encode.ts";
import { type LtxFile, type LtxHeader, completePages, lockPage, ltxPages } from "./ltx.ts";

const HEADER: LtxHeader = {
  pageSize: 512,
  commit: 9,
  minTxid: 5 as Txid,
  maxTxid: 6 as Txid,
  timestampMs: 1_767_225_600_000,
  epoch: 4 as Epoch,
  walOffset: 32,
  walSize: 1_000,
  salt1: 0xfedc_ba98,
  salt2: 2,
};

const page = (pageSize: number, seed: number): Uint8Array =>
  Uint8Array.from({ length: pageSize }, (_, i) => (i % 7 === 0 ? (seed * 31 + i) & 255 : seed & 255));

const ltxFile: fc.Arbitrary<LtxFile> = fc
  .record({
    pageSize: fc.constantFrom(512, 1_024, 4_096),
    commit: fc.integer({ min: 1, max: 40 }),
    minTxid: fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 2 ** 40 })),
    span: fc.nat(1_000),
    timestampMs: fc.maxSafeNat(),
    epoch: fc.maxSafeNat(),
    wal: fc.boolean(),
    numbers: fc.uniqueArray(fc.integer({ min: 1, max: 40 })),
    seed: fc.nat(),
  })
  .map(({ pageSize, commit, minTxid, span, timestampMs, epoch, wal, numbers, seed }) => {
    const chosen = numbers.filter((pgno) => pgno <= commit).sort((a, b) => a - b);
    const some = new Map(chosen.map((pgno) => [pgno, page(pageSize, seed + pgno)]));
    const header = {
      pageSize,
      commit,
      minTxid: minTxid as Txid,
      maxTxid: (minTxid + span) as Txid,
      timestampMs,
      epoch: epoch as Epoch,
      walOffset: wal ? 32 : 0,
      walSize: wal ? 4_120 : 0,
      salt1: wal ? seed >>> 0 : 0,
      salt2: 0,
    };
    return { header, pages: minTxid === 1 ? completePages(some, pageSize, commit) : some };
  });

const encode = ({ header, pages }: LtxFile): Uint8Array => encodeLtx(header, ltxPages(pages));

/** What `run` threw, as its code; anything but SystemError fails the test. */
function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof SystemError) return error.code;
    throw error;
  }
  return "accepted";
}

describe("LTX", () => {
  test("decodeLtx gives what encodeLtx got, and the index leads to every page", () => {
    fc.assert(
      fc.property(ltxFile, (file) => {
        const bytes = encode(file);
        expect(decodeLtx(bytes)).toEqual(file);
        expect(decodeLtxHeader(bytes)).toEqual(file.header);
        const index = decodeLtxPageIndex(bytes, bytes.length);
        if (!("pages" in index)) throw new Error("the whole file must be enough");
        expect([...index.pages.keys()]).toEqual([...file.pages.keys()]);
        for (const [pgno, { offset, size }] of index.pages) {
          const found = decodeLtxPage(bytes.subarray(offset, offset + size), file.header.pageSize);
          expect(found).toEqual({ pgno, data: file.pages.get(pgno) as Uint8Array });
        }
      }),
    );
  });

  test("encodeLtx writes these bytes", () => {
    const bytes = encodeLtx(HEADER, [{ pgno: 3, data: new Uint8Array(512) }]);
    const hex = bytes.toHex();
    expect(hex.slice(0, 200)).toBe(
      [
        "4c545831", // LTX1
        "00000002", // flags: no database checksums
        "00000200", // page size
        "00000009", // pages of the database
        "0000000000000005", // minTXID
        "0000000000000006", // maxTXID
        "0000019b76daa800", // timestamp
        "0000000000000000", // pre-apply checksum
        "0000000000000020", // WAL offset
        "00000000000003e8", // WAL size
        "fedcba98", // salt 1
        "00000002", // salt 2
        "0000000000000004", // node id: our epoch
        "00".repeat(20),
      ].join(""),
    );
    expect(hex.slice(200, 220)).toBe("0000000300010000000c"); // page, size follows, size
    const tail = hex.slice(220 + 24, -16);
    expect(tail).toBe("0000000000000364160000000000000000040000000000000000");
    expect(Number.parseInt(hex.slice(-16, -15), 16)).toBeGreaterThanOrEqual(8); // the checksum's top bit
  });

  test("decodeLtxPageIndex says how much of the end it needs", () => {
    const pages = new Map([2, 5, 9].map((pgno) => [pgno, page(512, pgno)]));
    const bytes = encode({ header: HEADER, pages });
    const first = decodeLtxPageIndex(bytes.subarray(-24), bytes.length);
    if (!("more" in first)) throw new Error("24 bytes cannot hold the index");
    const index = decodeLtxPageIndex(bytes.subarray(-first.more), bytes.length);
    expect("pages" in index && [...index.pages.keys()]).toEqual([2, 5, 9]);
    expect(decodeLtxPageIndex(bytes.subarray(-10), bytes.length)).toEqual({ more: 24 });
  });

  const blank = new Uint8Array(512);
  const misuses: [string, LtxHeader, { pgno: number; data: Uint8Array }[]][] = [
    [
      "pages out of order",
      HEADER,
      [
        { pgno: 2, data: blank },
        { pgno: 2, data: blank },
      ],
    ],
    ["page 0", HEADER, [{ pgno: 0, data: blank }]],
    ["a page above the database", HEADER, [{ pgno: 10, data: blank }]],
    ["a page of another size", HEADER, [{ pgno: 1, data: new Uint8Array(511) }]],
    ["a snapshot that begins late", { ...HEADER, minTxid: 1 as Txid }, [{ pgno: 2, data: blank }]],
    ["a snapshot that ends early", { ...HEADER, minTxid: 1 as Txid }, [{ pgno: 1, data: blank }]],
    ["TXIDs backwards", { ...HEADER, minTxid: 7 as Txid }, []],
    ["TXID 0", { ...HEADER, minTxid: 0 as Txid }, []],
    ["a strange page size", { ...HEADER, pageSize: 513 }, []],
    ["salts without a WAL offset", { ...HEADER, walOffset: 0, walSize: 0 }, []],
    ["a negative timestamp", { ...HEADER, timestampMs: -1 }, []],
  ];
  for (const [name, header, pages] of misuses) {
    test(`encodeLtx refuses ${name}`, () => {
      expect(refusal(() => encodeLtx(header, pages))).toBe("internal");
    });
  }

  test("the lock page is in no file, and a snapshot goes on behind it", () => {
    const pageSize = 65_536;
    const lock = lockPage(pageSize);
    expect([512, 4_096, 65_536].map(lockPage)).toEqual([2_097_153, 262_145, 16_385]);
    const data = new Uint8Array(pageSize);
    const header = { ...HEADER, pageSize, commit: lock + 1 };
    expect(refusal(() => encodeLtx(header, [{ pgno: lock, data }]))).toBe("internal");
    const around = new Map([lock - 1, lock + 1].map((pgno) => [pgno, data]));
    expect([...decodeLtx(encode({ header, pages: around })).pages.keys()]).toEqual([lock - 1, lock + 1]);
    // One shared page of zeros stands for a gigabyte.
    const whole = completePages(new Map(), pageSize, lock + 1);
    expect(whole.size).toBe(lock);
    const snapshot = encodeLtx({ ...header, minTxid: 1 as Txid }, ltxPages(whole));
    const index = decodeLtxPageIndex(snapshot, snapshot.length);
    expect("pages" in index && !index.pages.has(lock) && index.pages.has(lock + 1)).toBe(true);
  }, 30_000);

  test("decodeLtx refuses every cut, every added byte and every changed one", () => {
    const file = { header: HEADER, pages: new Map([1, 4].map((pgno) => [pgno, page(512, pgno)])) };
    const bytes = encode(file);
    for (let length = 0; length < bytes.length; length++) {
      expect(refusal(() => decodeLtx(bytes.subarray(0, length)))).toBe("object_corrupt");
    }
    expect(refusal(() => decodeLtx(Uint8Array.of(...bytes, 0)))).toBe("object_corrupt");
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at] = (changed[at] as number) ^ (1 << (at % 8));
      // A changed LZ4 block may stand for the same page: the checksum covers what it stands for.
      let again: LtxFile | undefined;
      const code = refusal(() => (again = decodeLtx(changed)));
      if (code === "accepted") expect(again).toEqual(file);
      else expect(["object_corrupt", "object_version"]).toContain(code);
    }
  });

  test("decoders answer any mutation with the same result or SystemError", () => {
    const change = fc.record({
      at: fc.nat(),
      byte: fc.nat(255),
      kind: fc.constantFrom("set", "cut", "insert", "copy"),
    });
    fc.assert(
      fc.property(ltxFile, fc.array(change, { minLength: 1, maxLength: 4 }), (file, changes) => {
        let bytes = encode(file);
        for (const { at, byte, kind } of changes) {
          const i = at % Math.max(1, bytes.length);
          if (kind === "set") bytes[i] = byte;
          else if (kind === "cut") bytes = bytes.slice(0, i);
          else if (kind === "insert")
            bytes = Uint8Array.of(...bytes.subarray(0, i), byte, ...bytes.subarray(i));
          else bytes.copyWithin(i, (i * 7) % Math.max(1, bytes.length), i + byte);
        }
        refusal(() => expect(decodeLtx(bytes)).toEqual(file));
        refusal(() => decodeLtxPageIndex(bytes.subarray(byteCount(bytes)), bytes.length));
        refusal(() => decodeLtxPage(bytes.subarray(100), file.header.pageSize));
      }),
      { numRuns: 1_000 },
    );
  });

  test("files with database checksums or old page frames are another version", () => {
    const bytes = encode({ header: HEADER, pages: new Map([[1, page(512, 1)]]) });
    const checksums = bytes.slice();
    checksums[7] = 0;
    expect(refusal(() => decodeLtx(checksums))).toBe("object_version");
    const frames = bytes.slice();
    frames[105] = 0;
    expect(refusal(() => decodeLtx(frames))).toBe("object_version");
  });
});

/** Half of the file, as a ranged read of its end would give. */
const byteCount = (bytes: Uint8Array): number => Math.floor(bytes.length / 2);
