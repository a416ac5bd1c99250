import { describe, expect, setDefaultTimeout, test } from "bun:test";
import * as fc from "fast-check";
import { SystemError } from "../errors.ts";
import type { DatabaseName, Epoch, Incarnation, LogSeq, TenantId, Txid } from "../ids.ts";
import { Crc64 } from "../ltx/crc64.ts";
import { limits } from "../limits.ts";
import { base64Url } from "../protocol/mac.ts";
import {
  decodeLogEntry,
  decodeLogFooter,
  decodeLogHeader,
  decodeLogObject,
  logFooterBytes,
} from "./decode.ts";
import { LOG_OVERHEAD_BYTES, encodeLogObject, logEntryBytes } from "./encode.ts";
import type { LogEntry, LogFooter, LogHeader } from "./log.ts";
import { decodeState, encodeState } from "./state.ts";

// A busy machine is no failure: nothing here measures time.
setDefaultTimeout(60_000);

const HEADER: LogHeader = {
  incarnation: 0x1234 as Incarnation,
  seq: 77 as LogSeq,
  nonce: "0123456789abcdef0123456789abcdef",
  kind: "entries",
  lowWatermark: 70 as LogSeq,
};
const TENANT = "abcdefghij01234" as TenantId;
const DB = "data.db" as DatabaseName;

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(base64Url);
const tenant = fc.stringMatching(/^[a-z0-9]{15}$/) as unknown as fc.Arbitrary<TenantId>;
const epoch = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }) as unknown as fc.Arbitrary<Epoch>;
const txid = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.integer({ min: 1, max: 2 ** 50 }),
) as unknown as fc.Arbitrary<Txid>;
const database = fc.stringMatching(/^[a-z][a-z0-9_]{0,31}\.db$/) as unknown as fc.Arbitrary<DatabaseName>;
const text = fc.string({ unit: "grapheme", maxLength: 20 });
const whose = { tenant, epoch };
const carried = fc.dictionary(text, text, { maxKeys: limits.carriedValuesMax, noNullPrototype: true });
const change = { ...whose, database, txid, entryHash: hash, encrypted: fc.constant(true as const) };
const changeKeys = ["kind", "tenant", "epoch", "database", "txid", "entryHash"] as const;
const position = fc.record({ txid, entryHash: fc.oneof(fc.constant(""), hash) });
const simple: fc.Arbitrary<LogEntry> = fc.oneof(
  fc.record(
    { kind: fc.constant("data" as const), ...change, ltx: fc.uint8Array({ maxLength: 200 }) },
    { requiredKeys: [...changeKeys, "ltx"], noNullPrototype: true },
  ),
  fc.record(
    { kind: fc.constant("ref" as const), ...change, key: text, sha256: hash, length: fc.maxSafeNat() },
    { requiredKeys: [...changeKeys, "key", "sha256", "length"], noNullPrototype: true },
  ),
  fc.record({
    kind: fc.constant("release" as const),
    ...whose,
    positions: fc.dictionary(database, position, { maxKeys: 4, noNullPrototype: true }),
  }),
  fc.record({ kind: fc.constant("drop" as const), ...whose }),
  fc.record(
    {
      kind: fc.constant("state" as const),
      ...whose,
      body: fc.oneof(carried.map(encodeState), fc.uint8Array({ maxLength: 50 })),
      encrypted: fc.constant(true as const),
    },
    { requiredKeys: ["kind", "tenant", "epoch", "body"], noNullPrototype: true },
  ),
);
const directoryDatabase = fc.record({
  ...whose,
  database,
  firstTxid: txid,
  entries: fc
    .array(
      fc.record({
        seq: fc.integer({ min: 1, max: 2 ** 45 }) as unknown as fc.Arbitrary<LogSeq>,
        kind: fc.constantFrom("data" as const, "ref" as const),
        offset: fc.nat(),
        length: fc.nat(),
      }),
      { maxLength: 5 },
    )
    .map((items) => items.sort((a, b) => a.seq - b.seq)),
});
const directory: fc.Arbitrary<LogEntry> = fc.record({
  kind: fc.constant("directory" as const),
  databases: fc.array(directoryDatabase, { maxLength: 3 }),
});
const footerOf = (entries: LogEntry[], header = HEADER): LogFooter => {
  const bytes = encodeLogObject(header, entries);
  return decodeLogFooter(bytes, bytes.length);
};
const footers: fc.Arbitrary<LogEntry> = fc
  .array(fc.array(simple, { maxLength: 3 }), { maxLength: 3 })
  .map((objects) => ({ kind: "footers" as const, footers: objects.map((entries) => footerOf(entries)) }));
const entries = fc.array(fc.oneof({ arbitrary: simple, weight: 6 }, directory, footers), { maxLength: 6 });

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof SystemError) return error.code;
    throw error;
  }
  return "accepted";
}

/** Makes every checksum right again that can be found by the footer of the original, so that damage reaches the code behind them. */
function repair(bytes: Uint8Array, footer: LogFooter): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fix = (start: number, end: number): void => {
    if (end + 8 > bytes.length || start >= end) return;
    const crc = new Crc64().update(bytes, start, end);
    view.setUint32(end, crc.high);
    view.setUint32(end + 4, crc.low);
  };
  fix(0, 56);
  for (const { offset, length } of footer.index) fix(offset, offset + length - 8);
  const last = footer.index.at(-1);
  fix(last === undefined ? 64 : last.offset + last.length, bytes.length - 12);
}

describe("log object", () => {
  test("decodeLogObject gives what encodeLogObject got; footer and single entries say the same", () => {
    fc.assert(
      fc.property(entries, (written) => {
        const bytes = encodeLogObject(HEADER, written);
        expect(decodeLogObject(bytes)).toEqual({ header: HEADER, entries: written });
        expect(decodeLogHeader(bytes.subarray(0, 64))).toEqual(HEADER);
        const needed = logFooterBytes(bytes.subarray(-4));
        const footer = decodeLogFooter(bytes.subarray(-needed), bytes.length);
        expect(footer.header).toEqual(HEADER);
        const read = footer.index.map(({ offset, length }) =>
          decodeLogEntry(bytes.subarray(offset, offset + length)),
        );
        expect(read).toEqual(written);
        for (const [i, item] of footer.index.entries()) {
          const { kind } = written[i] as LogEntry;
          expect(item.kind).toBe(kind);
          if ("entryHash" in item)
            expect(written[i]).toMatchObject({ entryHash: item.entryHash, txid: item.txid });
        }
        const estimate = written.reduce((sum, entry) => sum + logEntryBytes(entry), LOG_OVERHEAD_BYTES);
        expect(bytes.length).toBeLessThanOrEqual(estimate);
      }),
    );
  });

  test("encodeLogObject writes these bytes", () => {
    const entryHash = base64Url(new Uint8Array(32).fill(0xee));
    const ltx = Uint8Array.of(1, 2, 3);
    const entry: LogEntry = {
      kind: "data",
      tenant: TENANT,
      epoch: 300 as Epoch,
      database: DB,
      txid: 5 as Txid,
      entryHash,
      ltx,
    };
    const hex = encodeLogObject(HEADER, [entry]).toHex();
    const head =
      "4d42574c" +
      "0001" +
      "01" +
      "00" +
      "0000000000001234" +
      "000000000000004d" +
      HEADER.nonce +
      "0000000000000046";
    const meta =
      "0f" + Buffer.from(TENANT).toHex() + "ac0207" + Buffer.from(DB).toHex() + "05" + "ee".repeat(32);
    const metaBytes = meta.length / 2;
    expect(hex.slice(0, 112)).toBe(head + "0000000000000000");
    const entryStart = 128;
    const entryHex = "0100" + metaBytes.toString(16).padStart(4, "0") + "00000003" + meta + "010203";
    expect(hex.slice(entryStart, entryStart + entryHex.length)).toBe(entryHex);
    const footerStart = entryStart + entryHex.length + 16;
    const entryBytes = (entryHex.length + 16) / 2;
    const footer =
      "4d425746" + head + "010100" + metaBytes.toString(16) + meta + "40" + entryBytes.toString(16);
    expect(hex.slice(footerStart, footerStart + footer.length)).toBe(footer);
    expect(hex.slice(footerStart + footer.length + 16)).toBe(
      (footer.length / 2 + 8).toString(16).padStart(8, "0"),
    );
  });

  test("a SEAL is an object without entries", () => {
    const seal: LogHeader = { ...HEADER, kind: "seal" };
    expect(decodeLogObject(encodeLogObject(seal, []))).toEqual({ header: seal, entries: [] });
    expect(refusal(() => encodeLogObject(seal, [{ kind: "drop", tenant: TENANT, epoch: 1 as Epoch }]))).toBe(
      "internal",
    );
  });

  const drop: LogEntry = { kind: "drop", tenant: TENANT, epoch: 1 as Epoch };
  const large = new Uint8Array(4 * 1024 * 1024 + 1);
  const data = (ltx: Uint8Array, entryHash: string): LogEntry => ({
    kind: "data",
    tenant: TENANT,
    epoch: 1 as Epoch,
    database: DB,
    txid: 1 as Txid,
    entryHash,
    ltx,
  });
  const zero = base64Url(new Uint8Array(32));
  const misuses: [string, LogHeader, LogEntry[]][] = [
    ["a nonce that is none", { ...HEADER, nonce: "xyz" }, [drop]],
    ["slot 0", { ...HEADER, seq: 0 as LogSeq, lowWatermark: 0 as LogSeq }, []],
    ["a low watermark among the newest slots", { ...HEADER, lowWatermark: 74 as LogSeq }, []],
    ["a hash that is none", HEADER, [data(new Uint8Array(1), "")]],
    ["an inline entry that must be a REF", HEADER, [data(large, zero)]],
    ["an object that is too large", HEADER, [1, 2, 3].map(() => data(large.subarray(1), zero))],
  ];
  for (const [name, header, written] of misuses) {
    test(`encodeLogObject refuses ${name}`, () => {
      expect(refusal(() => encodeLogObject(header, written))).toBe("internal");
    });
  }

  test("every changed, missing or added byte is refused", () => {
    const bytes = encodeLogObject(HEADER, [data(Uint8Array.of(1, 2, 3), zero), drop]);
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at] = (changed[at] as number) ^ (1 << (at % 8));
      expect(["object_corrupt", "object_version"]).toContain(refusal(() => decodeLogObject(changed)));
      expect(refusal(() => decodeLogObject(bytes.subarray(0, at)))).toBe("object_corrupt");
    }
    expect(refusal(() => decodeLogObject(Uint8Array.of(...bytes, 0)))).toBe("object_corrupt");
    expect(refusal(() => decodeLogObject(Uint8Array.of(0, ...bytes)))).toBe("object_corrupt");
  });

  test("an unknown kind is skipped only when its flag says so; later versions are refused by name", () => {
    const directoryEntry: LogEntry = { kind: "directory", databases: [] };
    const bytes = encodeLogObject(HEADER, [directoryEntry, drop]);
    const footer = decodeLogFooter(bytes, bytes.length);
    const footerKind = bytes.length - logFooterBytes(bytes) + 4 + 48 + 1;
    const patch = (changes: [number, number][]): Uint8Array => {
      const patched = bytes.slice();
      for (const [at, byte] of changes) patched[at] = byte;
      repair(patched, footer);
      return patched;
    };
    const unknown = patch([
      [64, 99],
      [footerKind, 99],
    ]);
    expect(decodeLogObject(unknown).entries).toEqual([drop]);
    expect(decodeLogFooter(unknown, unknown.length).index[0]).toEqual({
      kind: "unknown",
      offset: 64,
      length: 18,
    });
    expect(
      refusal(() =>
        decodeLogObject(
          patch([
            [64, 99],
            [65, 0],
            [footerKind, 99],
            [footerKind + 1, 0],
          ]),
        ),
      ),
    ).toBe("object_version");
    expect(refusal(() => decodeLogObject(patch([[5, 2]])))).toBe("object_version");
    expect(refusal(() => decodeLogObject(patch([[6, 3]])))).toBe("object_version");
    expect(refusal(() => decodeLogObject(patch([[7, 1]])))).toBe("object_version");
    const laterBody = patch([[72, 2]]);
    expect(decodeLogObject(laterBody).entries).toEqual([drop]);
  });

  test("decoders answer any mutation with SystemError, or with what survives another round", () => {
    const damage = fc.record({
      at: fc.nat(),
      byte: fc.nat(255),
      kind: fc.constantFrom("set", "set", "cut", "insert", "copy"),
    });
    let deep = 0;
    fc.assert(
      fc.property(
        entries,
        fc.array(damage, { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        (written, changes, repaired) => {
          let bytes = encodeLogObject(HEADER, written);
          const footer = decodeLogFooter(bytes, bytes.length);
          for (const { at, byte, kind } of changes) {
            const i = at % Math.max(1, bytes.length);
            if (kind === "set") bytes[i] = byte;
            else if (kind === "cut") bytes = bytes.slice(0, i);
            else if (kind === "insert")
              bytes = Uint8Array.of(...bytes.subarray(0, i), byte, ...bytes.subarray(i));
            else bytes.copyWithin(i, (i * 7) % Math.max(1, bytes.length), i + (byte % 16));
          }
          if (repaired) repair(bytes, footer);
          refusal(() => {
            const { header, entries: read } = decodeLogObject(bytes);
            deep++;
            expect(decodeLogObject(encodeLogObject(header, read))).toEqual({ header, entries: read });
          });
          refusal(() => decodeLogHeader(bytes));
          refusal(() => decodeLogFooter(bytes.subarray(bytes.length >> 1), bytes.length));
          for (const { offset, length } of footer.index)
            refusal(() => decodeLogEntry(bytes.subarray(offset, offset + length)));
        },
      ),
      { numRuns: 3_000 },
    );
    expect(deep).toBeGreaterThan(50);
  });
});

describe("the body of a STATE", () => {
  test("decodeState gives what encodeState got, and answers anything else with SystemError or with values within the bounds", () => {
    fc.assert(
      fc.property(carried, fc.nat(), fc.nat(255), fc.nat(), (values, at, byte, cut) => {
        const body = encodeState(values);
        expect(decodeState(body)).toEqual(values);
        const changed = body.slice();
        changed[at % body.length] = byte;
        for (const bytes of [changed, body.subarray(0, cut % body.length), Uint8Array.of(...body, byte)]) {
          const code = refusal(() => {
            const read = Object.values(decodeState(bytes));
            expect(read.length).toBeLessThanOrEqual(limits.carriedValuesMax);
          });
          expect(["accepted", "object_corrupt"]).toContain(code);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("decodeState refuses what a tenant cannot carry", () => {
    const many = Object.fromEntries(Array.from({ length: limits.carriedValuesMax + 1 }, (_, i) => [i, "x"]));
    const long = { name: "x".repeat(limits.carriedValueCharactersMax + 1) };
    for (const values of [many, long]) {
      expect(refusal(() => decodeState(encodeState(values)))).toBe("object_corrupt");
    }
    const twice = Uint8Array.of(2, 1, 97, 1, 98, 1, 97, 1, 99);
    expect(refusal(() => decodeState(twice))).toBe("object_corrupt");
  });
});
