import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { Crc64 } from "./crc64.ts";

/** Bit by bit with bigint: slow and plainly the definition. */
function reference(bytes: Uint8Array): bigint {
  let crc = 0xffff_ffff_ffff_ffffn;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++)
      crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0xd800_0000_0000_0000n : crc >> 1n;
  }
  return crc ^ 0xffff_ffff_ffff_ffffn;
}

const value = (crc: Crc64): bigint => (BigInt(crc.high) << 32n) | BigInt(crc.low);

test("Crc64 gives the catalogue's check value of CRC-64/GO-ISO", () => {
  expect(value(new Crc64().update(new TextEncoder().encode("123456789")))).toBe(0xb909_56c7_75a4_1001n);
  expect(value(new Crc64())).toBe(0n);
});

test("Crc64 is the bitwise definition, however the bytes are cut", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, at) => {
      const cut = Math.min(at, bytes.length);
      const crc = new Crc64().update(bytes, 0, cut).update(bytes.subarray(cut));
      expect(value(crc)).toBe(reference(bytes));
    }),
  );
});
