import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type Header, pack } from "tar-stream";
import { receivePbData } from "./receive-pb-data.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "manybase-receive-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

type Entry = [header: string | Partial<Header>, text?: string];

function archive(...entries: Entry[]): ReadableStream<Uint8Array> {
  const tar = pack();
  for (const [header, text = ""] of entries) {
    tar.entry({ name: "", ...(typeof header === "string" ? { name: header } : header) }, text);
  }
  tar.finalize();
  return Readable.toWeb(Readable.from(tar)) as unknown as ReadableStream<Uint8Array>;
}

describe("receivePbData", () => {
  test("takes databases with their journals, files and thumbs, and leaves what can be made anew", async () => {
    const received = await receivePbData(
      archive(
        ["./data.db", "data"],
        ["data.db-wal", "newest"],
        ["data.db-shm", "cache"],
        ["auxiliary.db", "logs"],
        ["storage/pbc_1/rec1/a.txt", "A"],
        ["storage/pbc_1/rec1/a.txt.attrs", "{}"],
        ["storage/pbc_1/rec1/thumbs_b.png/100x100_b.png", "T"],
        ["lost+found/x", ""],
      ),
      directory,
    );
    expect([...received.databases.keys()]).toEqual(["data.db", "auxiliary.db"]);
    expect(readFileSync(join(directory, "data.db-wal"), "utf8")).toBe("newest");
    expect(
      received.files.map(({ path, ...file }) => ({ ...file, text: readFileSync(path, "utf8") })),
    ).toEqual([
      { collectionId: "pbc_1", recordId: "rec1", name: "a.txt", text: "A" },
      { collectionId: "pbc_1", recordId: "rec1", name: "thumbs_b.png/100x100_b.png", text: "T" },
    ]);
    expect(received.notCarried).toEqual([]);
    expect(received.bytes).toBe(23);
  });

  test("writes nothing outside and says what it left", async () => {
    const outside: Entry[] = [
      ["../evil.txt", "x"],
      ["/etc/evil", "x"],
      ["storage/../../evil", "x"],
      ["storage/pbc_1/../evil", "x"],
      ["storage/pbc_1/rec1/..", "x"],
      ["storage/pbc_1/rec1/sub/evil", "x"],
      ["pb_hooks/main.pb.js", "x"],
      [{ name: "storage/pbc_1/rec1/link", type: "symlink", linkname: "/etc/passwd" }],
      [{ name: "auxiliary.db", type: "symlink", linkname: "/etc/passwd" }],
    ];
    const received = await receivePbData(archive(["data.db", "data"], ...outside), directory);
    expect(received.files).toEqual([]);
    expect(received.notCarried).toHaveLength(outside.length);
    expect(readdirSync(directory)).toEqual(["data.db"]);
  });

  test("refuses an archive without data.db, and one that is cut short", async () => {
    await expect(receivePbData(archive(["auxiliary.db", "x"]), directory)).rejects.toMatchObject({
      code: "invalid_import",
    });
    const whole = new Uint8Array(
      await new Response(archive(["data.db", "x".repeat(5000)]) as never).arrayBuffer(),
    );
    const cut = new Blob([whole.slice(0, 3000)]).stream();
    await expect(receivePbData(cut, directory)).rejects.toMatchObject({ code: "invalid_import" });
    await expect(receivePbData(new Blob(["this is no tar"]).stream(), directory)).rejects.toMatchObject({
      code: "invalid_import",
    });
  });
});
