import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { compressSync, uncompressSync } from "lz4-napi";
import { lz4Block } from "./lz4-block.ts";

/** Bytes with the repetitions that compression lives on: runs, copies of what came before, noise. */
const bytes = fc
  .array(
    fc.oneof(
      fc.record({ run: fc.nat(255), length: fc.integer({ min: 1, max: 700 }) }),
      fc.record({ back: fc.integer({ min: 1, max: 70_000 }), length: fc.integer({ min: 1, max: 700 }) }),
      fc.record({
        noise: fc.uint8Array({ minLength: 1, maxLength: 300 }),
        times: fc.integer({ min: 1, max: 3 }),
      }),
    ),
    { maxLength: 40 },
  )
  .map((parts) => {
    const out: number[] = [];
    for (const part of parts) {
      if ("run" in part) for (let i = 0; i < part.length; i++) out.push(part.run);
      else if ("back" in part)
        for (let i = 0; i < part.length; i++) out.push(out[out.length - part.back] ?? 7);
      else for (let i = 0; i < part.times; i++) out.push(...part.noise);
    }
    return Uint8Array.from(out);
  });

const sizePrefixed = (block: Uint8Array, size: number): Uint8Array => {
  const prefixed = new Uint8Array(block.length + 4);
  new DataView(prefixed.buffer).setUint32(0, size, true);
  prefixed.set(block, 4);
  return prefixed;
};

describe("lz4Block", () => {
  test("restores what it compressed, and so does another implementation", () => {
    fc.assert(
      fc.property(bytes, (source) => {
        const block = lz4Block.compressBlock(source).slice();
        expect(lz4Block.decompressBlock(block, source.length)).toEqual(source);
        const theirs = source.length === 0 ? source : uncompressSync(sizePrefixed(block, source.length));
        expect(Buffer.compare(theirs, source)).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test("reads what another implementation compressed", () => {
    fc.assert(
      fc.property(bytes, (source) => {
        const block = compressSync(Buffer.from(source)).subarray(4);
        expect(lz4Block.decompressBlock(block, source.length)).toEqual(source);
      }),
      { numRuns: 300 },
    );
  });

  test("makes a page of zeros small and noise hardly larger", () => {
    expect(lz4Block.compressBlock(new Uint8Array(4_096)).length).toBeLessThan(40);
    const noise = crypto.getRandomValues(new Uint8Array(4_096));
    expect(lz4Block.compressBlock(noise).length).toBeLessThan(4_096 + 32);
  });

  test("finds again what repeats after noise, and spends no sequences on matches of chance", () => {
    const noise = crypto.getRandomValues(new Uint8Array(2_048));
    const row = crypto.getRandomValues(new Uint8Array(64));
    const source = new Uint8Array(4_096);
    source.set(noise);
    for (let at = noise.length; at < source.length; at += row.length) source.set(row, at);
    expect(lz4Block.compressBlock(source).length).toBeLessThan(2_048 + 300);
    // Of six letters, the same ones each time: four in a row come again by chance, eight hardly. Taking them all would give 4,008.
    let state = 1;
    const ids = Uint8Array.from({ length: 4_096 }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return 97 + Math.floor((state / 2 ** 32) * 6);
    });
    const block = lz4Block.compressBlock(ids).slice();
    expect(block.length).toBeGreaterThan(4_040);
    expect(lz4Block.decompressBlock(block, ids.length)).toEqual(ids);
  });

  test("refuses damaged blocks and other sizes with RangeError, nothing else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(300), (block, size) => {
        try {
          expect(lz4Block.decompressBlock(block, size).length).toBe(size);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
      { numRuns: 3_000 },
    );
    const block = lz4Block.compressBlock(new Uint8Array(512).fill(3)).slice();
    for (const size of [0, 511, 513]) expect(() => lz4Block.decompressBlock(block, size)).toThrow(RangeError);
    expect(() => lz4Block.decompressBlock(Uint8Array.of(0x10, 1, 0, 0, 0), 20)).toThrow(RangeError);
    expect(() => lz4Block.decompressBlock(Uint8Array.of(0x10, 1, 9, 0, 0), 20)).toThrow(RangeError);
  });
});
