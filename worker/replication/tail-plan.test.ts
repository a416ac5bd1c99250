import { describe, expect, test } from "bun:test";
import {
  DATA_DB,
  type Epoch,
  type Incarnation,
  type LogSeq,
  type TenantId,
  type Txid,
} from "../../shared/ids.ts";
import type { Position } from "../../shared/protocol/internal.ts";
import type { TailItem } from "./sealed-log.ts";
import { planTail } from "./tail-plan.ts";

const item = (txid: number, epoch = 1, entryHash = `hash ${txid}`): TailItem => ({
  incarnation: 1 as Incarnation,
  seq: txid as LogSeq,
  item: {
    kind: "data",
    tenant: "a" as TenantId,
    database: DATA_DB,
    epoch: epoch as Epoch,
    txid: txid as Txid,
    entryHash,
    offset: 0,
    length: 1,
  },
});
const plan = (prefixTxid: number, items: TailItem[], base?: Position, epoch = 3): unknown[] =>
  planTail({ prefixTxid: prefixTxid as Txid, items, base, epoch: epoch as Epoch, database: DATA_DB }).map(
    ({ txid, previous }) => ({ txid, previous }),
  );

describe("planTail", () => {
  test("takes what the prefix lacks, each with the hash before it", () => {
    expect(plan(2, [item(1), item(2), item(3), item(4)])).toEqual([
      { txid: 3, previous: ["hash 2"] },
      { txid: 4, previous: ["hash 3"] },
    ]);
  });

  test("starts the hash chain anew with an epoch", () => {
    expect(plan(0, [item(1, 1), item(2, 2)])).toEqual([
      { txid: 1, previous: [""] },
      { txid: 2, previous: [""] },
    ]);
  });

  test("puts the entries of several tails in order: a tenant may have come back to an earlier worker", () => {
    expect(plan(0, [item(1, 1), item(3, 3), item(2, 2)])).toEqual([
      { txid: 1, previous: [""] },
      { txid: 2, previous: [""] },
      { txid: 3, previous: [""] },
    ]);
  });

  test("goes on from the base, which may be of this epoch or an earlier one", () => {
    expect(plan(5, [item(6)], { txid: 5 as Txid, entryHash: "base" })).toEqual([
      { txid: 6, previous: ["base", ""] },
    ]);
    expect(plan(5, [item(6)])).toEqual([{ txid: 6, previous: [] }]);
  });

  test("refuses a hole, two claims to one TXID, a hash that control knows otherwise, an epoch to come or gone by", () => {
    expect(() => plan(0, [item(1), item(3)])).toThrow("TXIDs 2 to 2 are in no log");
    expect(() => plan(4, [item(6)])).toThrow("TXIDs 5 to 5");
    expect(() => plan(0, [item(1), item(2), item(2, 1, "other")])).toThrow("two entries claim TXID 2");
    expect(() => plan(0, [item(1)], { txid: 1 as Txid, entryHash: "other" })).toThrow(
      "not what control was told",
    );
    expect(() => plan(0, [item(1, 4)])).toThrow("claims epoch 4");
    expect(() => plan(0, [item(1, 2), item(2, 1)])).toThrow("claims epoch 1");
  });
});
