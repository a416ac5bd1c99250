import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { type Sha256, decodeHash, hashedBody, nextEntryHash } from "./entry-hash.ts";

const native: Sha256 = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("nextEntryHash", () => {
  test("begins an epoch with the SHA-256 of the body", () => {
    // NIST's example "abc".
    const expected = Buffer.from("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "hex");
    expect(nextEntryHash("", bytes("abc"))).toBe(expected.toString("base64url"));
  });

  test("chains by the bytes of the previous hash, with any implementation of SHA-256", () => {
    const first = nextEntryHash("", bytes("one"));
    const expected = native(Buffer.from(first, "base64url"), bytes("two"));
    expect(nextEntryHash(first, bytes("two"))).toBe(Buffer.from(expected).toString("base64url"));
    expect(nextEntryHash(first, bytes("two"), native)).toBe(nextEntryHash(first, bytes("two")));
    expect(nextEntryHash("", bytes("onetwo"))).not.toBe(nextEntryHash(first, bytes("two")));
  });

  test("covers the file of a DATA entry and the object's hash of a REF", () => {
    const sha256 = Buffer.from(native(bytes("large"))).toString("base64url");
    expect(hashedBody({ kind: "data", ltx: bytes("x") })).toEqual(bytes("x"));
    expect(hashedBody({ kind: "ref", sha256 })).toEqual(new Uint8Array(native(bytes("large"))));
  });

  test("refuses what is no hash", () => {
    for (const text of ["x", "!".repeat(43), "A".repeat(44)])
      expect(() => decodeHash(text)).toThrow("Cannot use hash");
  });
});
