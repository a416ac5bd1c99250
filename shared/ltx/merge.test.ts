import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { SystemError } from "../errors.ts";
import type { Txid } from "../ids.ts";
import { decodeLtx } from "./decode.ts";
import { encodeLtx } from "./encode.ts";
import { type LtxFile, ltxPages } from "./ltx.ts";
import { mergeLtx } from "./merge.ts";

const PAGE = 512;

function file(min: number, max: number, commit: number, pages: Record<number, number>): LtxFile {
  return {
    header: {
      pageSize: PAGE,
      commit,
      minTxid: min as Txid,
      maxTxid: max as Txid,
      timestampMs: 1_000 + max,
      epoch: 0,
      walOffset: 32,
      walSize: 100,
      salt1: 1,
      salt2: 2,
    },
    pages: new Map(
      Object.entries(pages).map(([pgno, fill]) => [Number(pgno), new Uint8Array(PAGE).fill(fill)]),
    ),
  };
}

const content = (merged: LtxFile): Record<number, number> =>
  Object.fromEntries([...merged.pages].map(([pgno, data]) => [pgno, data[0] as number]));

function code(files: LtxFile[]): string {
  try {
    mergeLtx(files);
    return "accepted";
  } catch (error) {
    return error instanceof SystemError ? error.code : String(error);
  }
}

describe("mergeLtx", () => {
  test("keeps the last version of each page, ascending, and the last size", () => {
    const merged = mergeLtx([
      file(4, 4, 9, { 9: 1, 2: 1 }),
      file(5, 6, 8, { 2: 2, 8: 2 }),
      file(7, 7, 8, { 1: 3 }),
    ]);
    expect([...merged.pages.keys()]).toEqual([1, 2, 8]);
    expect(content(merged)).toEqual({ 1: 3, 2: 2, 8: 2 });
    expect(merged.header).toEqual({
      ...file(4, 7, 8, {}).header,
      timestampMs: 1_007,
      walOffset: 0,
      walSize: 0,
      salt1: 0,
      salt2: 0,
    });
  });

  test("a page that a shrink cut off does not come back when the database grows again", () => {
    const merged = mergeLtx([
      file(1, 1, 3, { 1: 1, 2: 1, 3: 1 }),
      file(2, 2, 1, { 1: 2 }),
      file(3, 3, 3, { 2: 3 }),
    ]);
    expect(content(merged)).toEqual({ 1: 2, 2: 3, 3: 0 });
  });

  test("overlaps are legal, and what brings nothing new changes nothing", () => {
    const chain = [
      file(2, 5, 4, { 1: 5 }),
      file(3, 4, 4, { 1: 4 }),
      file(4, 8, 4, { 2: 8 }),
      file(8, 8, 4, { 2: 8 }),
    ];
    expect(content(mergeLtx(chain))).toEqual({ 1: 5, 2: 8 });
    expect(mergeLtx(chain).header.maxTxid as number).toBe(8);
  });

  test("refuses gaps, disorder and strangers", () => {
    expect(code([])).toBe("internal");
    expect(code([file(2, 3, 4, {}), file(5, 5, 4, {})])).toBe("chain_gap");
    expect(code([file(2, 3, 4, {}), file(1, 5, 4, {})])).toBe("internal");
    const other = file(3, 3, 4, {});
    expect(code([file(2, 2, 4, {}), { ...other, header: { ...other.header, pageSize: 1_024 } }])).toBe(
      "object_corrupt",
    );
  });

  test("any grouping of a chain gives the database that applying it file by file gives", () => {
    const step = fc.record({
      commit: fc.integer({ min: 1, max: 12 }),
      pages: fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 6 }),
    });
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 12 }),
        fc.infiniteStream(fc.nat(3)),
        (steps, sizes) => {
          const disk: number[] = [];
          const chain = steps.map(({ commit, pages }, i) => {
            const inside = pages.filter((pgno) => pgno <= commit).sort((a, b) => a - b);
            disk.length = commit;
            for (const pgno of inside) disk[pgno - 1] = i + 1;
            return file(i + 1, i + 1, commit, Object.fromEntries(inside.map((pgno) => [pgno, i + 1])));
          });
          const groups: LtxFile[] = [];
          for (let at = 0; at < chain.length;) {
            const size = 1 + (sizes.next().value as number);
            groups.push(mergeLtx(chain.slice(at, at + size)));
            at += size;
          }
          const merged = mergeLtx(
            groups.map(({ header, pages }) => decodeLtx(encodeLtx(header, ltxPages(pages)))),
          );
          const expected = Object.fromEntries(Array.from(disk, (value, i) => [i + 1, value ?? 0]));
          // Pages cut off and never written again are free: SQLite does not read them, so a group may leave older bytes there.
          for (const [pgno, value] of Object.entries(content(merged))) {
            if (expected[Number(pgno)] !== 0)
              expect([pgno, value]).toEqual([pgno, expected[Number(pgno)] as number]);
          }
          expect([...merged.pages.keys()]).toEqual(Object.keys(expected).map(Number));
        },
      ),
    );
  });
});
