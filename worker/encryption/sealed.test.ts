import { expect, test } from "bun:test";
import { createDecipheriv, hkdfSync } from "node:crypto";
import * as fc from "fast-check";
import { SystemError } from "../../shared/errors.ts";
import { pattern } from "../objects/contract.fixture.ts";
import { DataKeys } from "./data-key.ts";
import { fixedKeys, tenantId } from "./encryption-fixture.ts";
import {
  SEALED_BYTES_MIN,
  SEALED_HEADER_BYTES,
  contentSize,
  openBytes,
  sealBytes,
  sealedSize,
  segment,
  segmentAt,
  segmentCount,
} from "./sealed.ts";

const MEBIBYTE = 1024 * 1024;
const keys = fixedKeys(tenantId("a"));
const as = { kind: "object", name: "tenants/aaaaaaaaaaaaaaa/storage/c/r/file" };
const random = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length));
const seal = (content: Uint8Array): Uint8Array => sealBytes(keys, as, content, random);
const SIZES = [
  0,
  1,
  100,
  MEBIBYTE - 57,
  MEBIBYTE - 56,
  MEBIBYTE - 55,
  2 * MEBIBYTE - 72,
  2 * MEBIBYTE - 71,
  3 * MEBIBYTE,
];

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof SystemError ? error.code : String(error);
  }
  return "nothing";
}

test("what is sealed opens again, whatever its size, and sizes follow from each other", () => {
  for (const size of SIZES) {
    const content = pattern(size);
    const sealed = seal(content);
    expect(sealed.length).toBe(sealedSize(size));
    expect(contentSize(sealed.length)).toBe(size);
    expect(openBytes(keys, as, sealed)).toEqual(content);
  }
});

test("segments cover content and body without a hole, and are found by offset", () => {
  for (const size of SIZES) {
    const count = segmentCount(size);
    let at = 0;
    let sealedAt = SEALED_HEADER_BYTES;
    for (let i = 0; i < count; i++) {
      const one = segment(i, size);
      expect([one.start, one.sealedStart]).toEqual([at, sealedAt]);
      if (one.end > one.start) expect([segmentAt(one.start), segmentAt(one.end - 1)]).toEqual([i, i]);
      at = one.end;
      sealedAt = one.sealedEnd;
    }
    expect([at, sealedAt]).toEqual([size, sealedSize(size)]);
  }
});

test("a size that nothing sealed has is none", () => {
  for (let size = 0; size < SEALED_BYTES_MIN; size++) expect(contentSize(size)).toBeUndefined();
  for (const size of SIZES) {
    for (let past = 1; past <= 16; past++) {
      const found = contentSize(sealedSize(size) + past);
      expect(found === undefined || sealedSize(found) === sealedSize(size) + past).toBe(true);
    }
  }
});

test("a reader that follows the format's description only reads it", () => {
  const content = random(5_000);
  const sealed = Buffer.from(seal(content));
  expect(sealed.subarray(0, 4).toString()).toBe("MBOE");
  expect([sealed.readUInt16BE(4), sealed.readUInt16BE(6)]).toEqual([1, 0]);
  expect([sealed.readUInt32BE(8), sealed.readUInt32BE(12), sealed[16]]).toEqual([1, MEBIBYTE, 40]);
  const info = `manybase/1/object/1/${as.name}`;
  const key = Buffer.from(
    hkdfSync("sha256", new Uint8Array(32).fill(7), new Uint8Array(sealed.subarray(17, 49)), info, 32),
  );
  const nonce = Buffer.concat([sealed.subarray(49, 56), Buffer.from([0, 0, 0, 0, 1])]);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce).setAuthTag(sealed.subarray(-16));
  const opened = Buffer.concat([decipher.update(sealed.subarray(56, -16)), decipher.final()]);
  expect<Uint8Array>(new Uint8Array(opened)).toEqual(content);
});

test("the same content is sealed differently each time", () => {
  const content = random(50);
  expect(seal(content)).not.toEqual(seal(content));
});

test("any changed bit, and any cut, is refused", () => {
  const sealed = seal(random(200));
  for (let at = 0; at < sealed.length; at++) {
    const changed = sealed.slice();
    changed[at] = (changed[at] as number) ^ (1 << (at % 8));
    expect(["object_corrupt", "object_version", "data_key_missing"]).toContain(
      codeOf(() => openBytes(keys, as, changed)),
    );
  }
  for (let length = 0; length < sealed.length; length++) {
    expect(codeOf(() => openBytes(keys, as, sealed.subarray(0, length)))).toBe("object_corrupt");
  }
});

test("a body without its last segment, or with its segments exchanged, is refused", () => {
  const size = 3 * MEBIBYTE;
  const sealed = seal(new Uint8Array(size));
  const [one, two, last] = [segment(1, size), segment(2, size), segment(segmentCount(size) - 1, size)];
  expect(codeOf(() => openBytes(keys, as, sealed.subarray(0, last.sealedStart)))).toBe("object_corrupt");
  const swapped = sealed.slice();
  swapped.set(sealed.subarray(two.sealedStart, two.sealedEnd), one.sealedStart);
  swapped.set(sealed.subarray(one.sealedStart, one.sealedEnd), two.sealedStart);
  expect(codeOf(() => openBytes(keys, as, swapped))).toBe("object_corrupt");
});

test("under another name, kind or key it does not open", () => {
  const sealed = seal(random(20));
  expect(codeOf(() => openBytes(keys, { ...as, name: `${as.name}2` }, sealed))).toBe("object_corrupt");
  expect(codeOf(() => openBytes(keys, { ...as, kind: "entry" }, sealed))).toBe("object_corrupt");
  expect(codeOf(() => openBytes(fixedKeys(tenantId("b"), 8), as, sealed))).toBe("object_corrupt");
  expect(codeOf(() => openBytes(new DataKeys(tenantId("a")), as, sealed))).toBe("data_key_missing");
});

test("the decoder takes any bytes without another error than its own", () => {
  const valid = seal(random(64));
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.nat(SEALED_HEADER_BYTES),
      fc.boolean(),
      (noise, keep, begins) => {
        const bytes = begins ? Buffer.concat([valid.subarray(0, keep), noise]) : noise;
        const code = codeOf(() => openBytes(keys, as, new Uint8Array(bytes)));
        return ["object_corrupt", "object_version", "data_key_missing"].includes(code);
      },
    ),
    { numRuns: 2_000 },
  );
});

test("forgotten keys are zeros", () => {
  const key = random(32);
  const own = new DataKeys(tenantId("c"));
  own.add(1, key);
  own.forget();
  expect(key).toEqual(new Uint8Array(32));
  expect(own.isEmpty).toBe(true);
});

test("the example of FORMATS.md holds", async () => {
  const own = new DataKeys(tenantId("a"));
  own.add(
    1,
    new Uint8Array(32).map((_, i) => i),
  );
  const place = { kind: "object", name: "tenants/aaaaaaaaaaaaaaa/storage/c/r/f" };
  const content = new TextEncoder().encode("hello");
  const sealed = sealBytes(own, place, content, (length) => new Uint8Array(length).map((_, i) => 0x40 + i));
  const text = await Bun.file(new URL("../../shared/decisions/FORMATS.md", import.meta.url)).text();
  expect(text).toContain(Buffer.from(sealed.subarray(0, SEALED_HEADER_BYTES)).toString("hex"));
  expect(text).toContain(Buffer.from(sealed.subarray(SEALED_HEADER_BYTES)).toString("hex"));
});
