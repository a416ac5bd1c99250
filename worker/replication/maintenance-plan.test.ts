/** What compaction and retention may do to a chain, over random histories. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import type { Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { type ChainFile, planChain } from "./chain.ts";
import { deletionVisitMs, nextCompactionMs, planCompactions, planRetention } from "./maintenance-plan.ts";

const HOUR = 60 * 60_000;
const DAY = 24 * HOUR;

const file = (level: number, min: number, max: number, modifiedMs: number, size = 1_000): ChainFile => ({
  key: `${level}/${min}-${max}`,
  level,
  minTxid: min as Txid,
  maxTxid: max as Txid,
  size,
  modifiedMs,
});

/** TXIDs to which the files can restore. */
function points(files: readonly ChainFile[]): Set<number> {
  const reached = new Set<number>();
  for (const start of files.filter(({ minTxid }) => minTxid === 1)) reached.add(start.maxTxid);
  const rest = files.filter(({ minTxid }) => minTxid > 1).toSorted((a, b) => a.maxTxid - b.maxTxid);
  for (const { minTxid, maxTxid } of rest) {
    // Contiguous or overlapping with some point before.
    for (const point of reached) {
      if (point >= minTxid - 1 && point < maxTxid) {
        reached.add(maxTxid);
        break;
      }
    }
  }
  return reached;
}

type Step = { txids: number; hours: number; snapshot: boolean };
const history = fc.array(
  fc.record({
    txids: fc.integer({ min: 1, max: 5 }),
    hours: fc.integer({ min: 0, max: 60 }),
    snapshot: fc.boolean(),
  }),
  { minLength: 1, maxLength: 60 },
) as fc.Arbitrary<Step[]>;

test("compaction and retention keep the newest state, and each promised point at its grain", () => {
  fc.assert(
    fc.property(history, (steps) => {
      let [nowMs, txid] = [1_000_000_000, 3];
      let files = [file(9, 1, 3, nowMs)];
      /** Ends of files of level 1 and 2, by when they were written. */
      const fine: { txid: number; atMs: number; grain: number }[] = [];
      for (const { txids, hours, snapshot } of steps) {
        nowMs += hours * HOUR;
        const [from, to] = [txid + 1, txid + txids];
        txid = to;
        files.push(file(1, from, to, nowMs));
        fine.push({ txid: to, atMs: nowMs, grain: 1 });
        if (snapshot && steps.length % 3 === 0) files.push(file(9, 1, to, nowMs));
        for (const level of [2, 3] as const) {
          for (const { files: group } of planCompactions(files, level, nowMs)) {
            const made = file(
              level,
              group[0]?.minTxid as number,
              Math.max(...group.map(({ maxTxid }) => maxTxid)),
              nowMs,
            );
            files.push(made);
            if (level === 2) fine.push({ txid: made.maxTxid, atMs: nowMs, grain: 2 });
          }
        }
        const gone = new Set(
          planRetention(files)
            .filter(({ atMs }) => atMs <= nowMs)
            .map(({ key }) => key),
        );
        files = files.filter(({ key }) => !gone.has(key));
        expect(planChain(files).at(-1)?.maxTxid).toBe(txid as Txid);
        const there = points(files);
        for (const { txid: point, atMs, grain } of fine) {
          const keepMs = grain === 1 ? limits.levelOneKeepMs : limits.historyKeepMs;
          if (nowMs - atMs < keepMs) expect([point, there.has(point)]).toEqual([point, true]);
        }
      }
      // With nothing new, all work ends.
      for (let i = 0; i < 10; i++) {
        nowMs += 40 * DAY;
        for (const level of [2, 3] as const) {
          for (const { files: group } of planCompactions(files, level, nowMs)) {
            files.push(
              file(
                level,
                group[0]?.minTxid as number,
                Math.max(...group.map(({ maxTxid }) => maxTxid)),
                nowMs,
              ),
            );
          }
        }
        const gone = new Set(
          planRetention(files)
            .filter(({ atMs }) => atMs <= nowMs)
            .map(({ key }) => key),
        );
        files = files.filter(({ key }) => !gone.has(key));
      }
      expect(planChain(files).at(-1)?.maxTxid).toBe(txid as Txid);
      expect([nextCompactionMs(files), planRetention(files)]).toEqual([undefined, []]);
    }),
    { numRuns: 300 },
  );
});

describe("planCompactions", () => {
  test("waits an hour for level 2, a day for level 3, and takes all there is then", () => {
    const files = [file(9, 1, 3, 0), file(1, 4, 5, 0), file(1, 6, 9, HOUR / 2)];
    expect(planCompactions(files, 2, HOUR - 1)).toEqual([]);
    expect(planCompactions(files, 2, HOUR).map(({ files: group }) => group.length)).toEqual([2]);
    const second = [...files, file(2, 4, 9, HOUR)];
    expect([planCompactions(second, 2, DAY), nextCompactionMs(second)]).toEqual([[], HOUR + DAY]);
    expect(planCompactions(second, 3, HOUR + DAY)).toHaveLength(1);
  });

  test("takes a large file up alone, and ends a file at a hole", () => {
    const files = [
      file(1, 4, 5, 0),
      file(1, 6, 6, 0, limits.compactBytesMax + 1),
      file(1, 7, 8, 0),
      file(1, 12, 13, 0),
    ];
    const groups = planCompactions(files, 2, DAY).map(({ files: group }) => group.map(({ key }) => key));
    expect(groups).toEqual([["1/4-5"], ["1/6-6"], ["1/7-8"], ["1/12-13"]]);
  });
});

describe("deletionVisitMs", () => {
  const waiting = (atMs: number, size: number) => ({ key: `${atMs}`, atMs, size });

  test("is a day after the first thing may go, however many follow", () => {
    expect(deletionVisitMs([])).toBeUndefined();
    const many = Array.from({ length: 90 }, (_, i) => waiting((90 - i) * HOUR, 1_000));
    expect(deletionVisitMs(many)).toBe(HOUR + limits.deletionBatchMs);
  });

  test("is when what may go by then takes much, if that is earlier", () => {
    const half = limits.deletionBatchBytes / 2;
    expect(deletionVisitMs([waiting(3 * HOUR, half), waiting(HOUR, half), waiting(5 * HOUR, half)])).toBe(
      3 * HOUR,
    );
    expect(deletionVisitMs([waiting(HOUR, half), waiting(3 * DAY, half)])).toBe(
      HOUR + limits.deletionBatchMs,
    );
  });
});
