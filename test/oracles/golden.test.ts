/** Files that stock Litestream wrote once: the codec must read them for ever (golden/README.md). */
import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, integer, nat, property } from "fast-check";
import { SystemError } from "../../shared/errors.ts";
import { decodeLtx } from "../../shared/ltx/decode.ts";
import { encodeLtx } from "../../shared/ltx/encode.ts";
import { ltxPages } from "../../shared/ltx/ltx.ts";
import { openImportSource } from "../../scripts/manybase/litestream/read-source.ts";

const DATABASE_SHA256 = "050ddc7ee49bebebc30228ac3f1cb0cfbf9aaba27e4723ee4c3504ab667f6dd1";
const folder = join(import.meta.dir, "golden");
const names = readdirSync(folder)
  .filter((name) => name.endsWith(".ltx"))
  .toSorted();
const golden = names.map((name) => readFileSync(join(folder, name)));
const root = mkdtempSync(join(tmpdir(), "golden-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe("golden LTX files", () => {
  test("decode, and say the same when we wrote them", () => {
    expect(names).toHaveLength(4);
    for (const [i, bytes] of golden.entries()) {
      const file = decodeLtx(bytes);
      expect(file.header).toMatchObject({ pageSize: 4096, minTxid: i + 1, maxTxid: i + 1 });
      expect(decodeLtx(encodeLtx(file.header, ltxPages(file.pages)))).toEqual(file);
    }
  });

  test("import as the database that stock Litestream makes of them", async () => {
    const level = join(root, "ltx", "0");
    mkdirSync(level, { recursive: true });
    for (const name of names) copyFileSync(join(folder, name), join(level, name));
    const source = await openImportSource(root, {});
    const sha256 = new Bun.CryptoHasher("sha256").update(readFileSync(source.databases[0]?.path ?? ""));
    expect(sha256.digest("hex")).toBe(DATABASE_SHA256);
    await source.close();
  });

  test("with bytes changed, cut or added are refused, or hold the same", () => {
    const same = (bytes: Uint8Array, original: Uint8Array): void => {
      try {
        expect(decodeLtx(bytes)).toEqual(decodeLtx(original));
      } catch (error) {
        expect(error).toBeInstanceOf(SystemError);
        expect((error as SystemError).code).toMatch(/^object_(?:corrupt|version)$/);
      }
    };
    assert(
      property(nat({ max: 3 }), nat(), integer({ min: 1, max: 255 }), (file, at, flip) => {
        const bytes = Uint8Array.from(golden[file] ?? []);
        const original = bytes.slice();
        bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ flip;
        same(bytes, original);
        expect(() => decodeLtx(original.subarray(0, at % original.length))).toThrow(SystemError);
        expect(() => decodeLtx(Uint8Array.from([...original, flip]))).toThrow(SystemError);
      }),
      { numRuns: 300 },
    );
  });
});
