import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { SystemError } from "../errors.ts";
import type { DatabaseName, Epoch, Incarnation, LogSeq, TenantId, Txid } from "../ids.ts";
import {
  type BundledFlush,
  decodeBundle,
  decodeBundleHeader,
  decodeBundleIndex,
  encodeBundle,
} from "./bundle.ts";
import { decodeLogEntry } from "./decode.ts";
import { encodeIndexedLogObject, entryCrc } from "./encode.ts";
import type { DataEntry, LogIndexItem } from "./log.ts";

function flush(txid: number, bytes: Uint8Array): { entry: DataEntry; timestampMs: number } {
  const entry: DataEntry = {
    kind: "data",
    tenant: "abcdefghijklmno" as TenantId,
    database: "data.db" as DatabaseName,
    epoch: 3 as Epoch,
    txid: txid as Txid,
    entryHash: "A".repeat(43),
    ltx: bytes,
  };
  return { entry, timestampMs: 1_700_000_000_000 + txid };
}

function inLog(entry: DataEntry): Uint8Array {
  const { bytes, item } = logged(entry);
  return bytes.subarray(item.offset, item.offset + item.length);
}

function logged(entry: DataEntry): { bytes: Uint8Array; item: LogIndexItem } {
  const header = { incarnation: 1 as Incarnation, seq: 1 as LogSeq, nonce: "0".repeat(32) };
  const { bytes, footer } = encodeIndexedLogObject(
    { ...header, kind: "entries", lowWatermark: 1 as LogSeq },
    [entry],
  );
  return { bytes, item: footer.index[0] as LogIndexItem };
}

const bodies = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 20 });

describe("bundle", () => {
  test("gives back every entry byte for byte, whole or by its index", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 40 }), bodies, (min, list) => {
        const flushes = list.map((bytes, i) => flush(min + i, bytes));
        const bundle = encodeBundle(flushes);
        expect(decodeBundle(bundle)).toEqual(flushes.map(({ entry }) => entry));
        const items = decodeBundleIndex(bundle, decodeBundleHeader(bundle), bundle.length);
        for (const [i, { txid, timestampMs, offset, length }] of items.entries()) {
          const { entry, timestampMs: expected } = flushes[i] as (typeof flushes)[number];
          expect([txid, timestampMs]).toEqual([entry.txid, expected]);
          const bytes = bundle.subarray(offset, offset + length);
          expect(bytes).toEqual(inLog(entry));
          expect(decodeLogEntry(bytes)).toEqual(entry);
        }
      }),
    );
  });

  test("takes over the checksums that its entries had in the log", () => {
    const flushes = [1, 2, 3].map((txid) => flush(txid, new Uint8Array(40).fill(txid)));
    const carried = flushes.map((one) => {
      const { bytes, item } = logged(one.entry);
      return { ...one, crc: entryCrc(bytes, item) };
    });
    expect(encodeBundle(carried)).toEqual(encodeBundle(flushes));
    const wrong = [{ ...carried[0], crc: new Uint8Array(8) } as BundledFlush];
    expect(() => decodeBundle(encodeBundle(wrong))).toThrow("does not match");
  });

  test("refuses any changed byte and any cut", () => {
    const bundle = encodeBundle([1, 2, 3].map((txid) => flush(txid, new Uint8Array(40).fill(txid))));
    for (let at = 0; at < bundle.length; at++) {
      const changed = bundle.slice();
      changed[at] = (changed[at] as number) ^ 16;
      expect(() => decodeBundle(changed)).toThrow(SystemError);
      expect(() => decodeBundle(bundle.subarray(0, at))).toThrow(SystemError);
    }
  });

  test("is not made of flushes with a gap", () => {
    expect(() => encodeBundle([flush(1, new Uint8Array(1)), flush(3, new Uint8Array(1))])).toThrow(
      "out of order",
    );
  });
});
