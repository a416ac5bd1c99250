import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { SystemError } from "../errors.ts";
import type { Epoch, Txid } from "../ids.ts";
import { decodeLtx } from "./decode.ts";
import { encodeLtx } from "./encode.ts";
import { LTX_HEADER_BYTES, type LtxHeader, completePages, ltxPages } from "./ltx.ts";
import { mergeEncodedLtx } from "./merge-encoded.ts";
import { mergeLtx } from "./merge.ts";

const PAGE = 512;

function header(txid: number, commit: number): LtxHeader {
  const wal = { walOffset: 32, walSize: 100, salt1: 1, salt2: 2 };
  const txids = { minTxid: txid as Txid, maxTxid: txid as Txid };
  return { pageSize: PAGE, commit, ...txids, timestampMs: 1_000 + txid, epoch: 3 as Epoch, ...wal };
}

/** A page of noise, as far as `noise` goes. */
function page(seed: number, noise: number): Uint8Array {
  const data = new Uint8Array(PAGE).fill(seed);
  for (let i = 0; i < noise; i++) data[i] = Math.imul(seed + 7, (i + 1) * 0x9e37_79b1) >>> 24;
  return data;
}

function encoded(txid: number, commit: number, pages: Map<number, Uint8Array>): Uint8Array {
  const all = txid === 1 ? completePages(pages, PAGE, commit) : pages;
  return encodeLtx(header(txid, commit), ltxPages(all));
}

const flush = fc.record({
  commit: fc.integer({ min: 1, max: 12 }),
  pgnos: fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 6 }),
  noise: fc.integer({ min: 0, max: PAGE }),
});

describe("mergeEncodedLtx", () => {
  test("gives the bytes that encoding a merge gives, from whatever TXID", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 900),
        fc.array(flush, { minLength: 1, maxLength: 10 }),
        (from, list) => {
          const files = list.map(({ commit, pgnos, noise }, i) => {
            const inside = pgnos.filter((pgno) => pgno <= commit).sort((a, b) => a - b);
            return encoded(from + i, commit, new Map(inside.map((pgno) => [pgno, page(pgno + i, noise)])));
          });
          const merged = mergeLtx(files.map((file) => decodeLtx(file)));
          expect(mergeEncodedLtx(files)).toEqual(encodeLtx(merged.header, ltxPages(merged.pages)));
        },
      ),
    );
  });

  test("refuses a gap, a page in another's place and a damaged block", () => {
    const good = encoded(2, 4, new Map([[1, page(1, 100)]]));
    const next = encoded(3, 4, new Map([[2, page(2, 100)]]));
    const refusal = (...files: Uint8Array[]): string => {
      try {
        mergeEncodedLtx(files);
        return "accepted";
      } catch (error) {
        return error instanceof SystemError ? error.code : String(error);
      }
    };
    expect(refusal(good, next)).toBe("accepted");
    expect(refusal(good, encoded(4, 4, new Map()))).toBe("chain_gap");
    const elsewhere = next.slice();
    elsewhere[LTX_HEADER_BYTES + 3] = 3;
    expect(refusal(good, elsewhere)).toBe("object_corrupt");
    const damaged = next.slice();
    damaged[LTX_HEADER_BYTES + 10] = 255;
    expect(refusal(good, damaged)).toBe("object_corrupt");
    expect(refusal(good, next.subarray(0, next.length - 1))).toBe("object_corrupt");
  });
});
