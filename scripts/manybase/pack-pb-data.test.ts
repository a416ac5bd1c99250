import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { extract } from "tar-stream";
import { openImportSource } from "./litestream/read-source.ts";
import { packPbData } from "./pack-pb-data.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "manybase-pack-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function put(name: string, text: string): void {
  mkdirSync(dirname(join(directory, name)), { recursive: true });
  writeFileSync(join(directory, name), text);
}

async function entries(path: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const unpack = extract();
  const source = await openImportSource(path, {});
  Readable.fromWeb(packPbData(source) as never).pipe(unpack);
  for await (const entry of unpack) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    found[entry.header.name] = Buffer.concat(chunks).toString();
  }
  await source.close();
  return found;
}

test("packs databases, journals and stored files, and leaves what is not a tenant's", async () => {
  put("data.db", "data");
  put("data.db-wal", "");
  put("data.db-journal", "undo");
  put("auxiliary.db", "logs");
  put("storage/c/r/a.txt", "A");
  put("storage/c/r/a.txt.attrs", "{}");
  put("storage/c/r/thumbs_a.txt/1x1_a.txt", "T");
  put("backups/old.zip", "zip");
  put("types.d.ts", "types");
  symlinkSync("/etc/hostname", join(directory, "storage/c/r/link"));
  const expected = {
    "auxiliary.db": "logs",
    "data.db": "data",
    "data.db-journal": "undo",
    "data.db-wal": "",
    "storage/c/r/a.txt": "A",
    "storage/c/r/thumbs_a.txt/1x1_a.txt": "T",
  };
  expect(await entries(directory)).toEqual(expected);
  expect(await entries(`${directory}/`)).toEqual(expected);
});

test("refuses what is no PocketBase directory", async () => {
  await expect(openImportSource(directory, {})).rejects.toMatchObject({ code: "invalid_directory" });
  await expect(openImportSource(join(directory, "nothing"), {})).rejects.toMatchObject({
    code: "invalid_directory",
  });
});
