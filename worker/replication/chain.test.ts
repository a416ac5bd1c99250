import { describe, expect, test } from "bun:test";
import type { Txid } from "../../shared/ids.ts";
import { type ChainFile, planChain } from "./chain.ts";

const file = (level: number, min: number, max: number): ChainFile => ({
  key: `${level}/${min}-${max}`,
  level,
  minTxid: min as Txid,
  maxTxid: max as Txid,
  size: 1,
  modifiedMs: 0,
});
const plan = (...files: ChainFile[]): string[] => planChain(files).map((one) => one.key);

describe("planChain", () => {
  test("starts at the newest snapshot and takes the files that reach furthest", () => {
    expect(
      plan(
        file(9, 1, 4),
        file(9, 1, 10),
        file(1, 5, 10),
        file(1, 11, 11),
        file(1, 12, 20),
        file(2, 11, 20),
        file(1, 21, 22),
      ),
    ).toEqual(["9/1-10", "2/11-20", "1/21-22"]);
  });

  test("accepts files that overlap what is there", () => {
    expect(plan(file(9, 1, 10), file(1, 8, 12), file(1, 9, 11), file(1, 12, 15))).toEqual([
      "9/1-10",
      "1/8-12",
      "1/12-15",
    ]);
  });

  test("needs no snapshot when a file begins at 1", () => {
    expect(plan(file(1, 3, 4), file(1, 1, 2))).toEqual(["1/1-2", "1/3-4"]);
    expect(plan()).toEqual([]);
  });

  test("refuses files beyond a hole", () => {
    expect(() => plan(file(9, 1, 10), file(1, 12, 12))).toThrow("TXIDs 11 to 11 are missing");
    expect(() => plan(file(1, 2, 3))).toThrow("TXIDs 1 to 1 are missing");
  });
});
