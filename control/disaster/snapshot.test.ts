import { expect, test } from "bun:test";
import { type ControlSnapshot, decodeSnapshot, encodeSnapshot } from "./snapshot.ts";

const snapshot: ControlSnapshot = {
  cluster: "c",
  block: 3,
  revision: 9,
  at: "2026-01-01T00:00:00.000Z",
  rows: Array.from({ length: 5_000 }, (_, i): [string, unknown] => [`tenant/${i}`, { text: `a\nb${i}` }]),
};

test("a snapshot comes back as it was", async () => {
  expect(await decodeSnapshot("k", await encodeSnapshot(snapshot))).toEqual(snapshot);
});

test("cut off, changed, of a later version: each is named", async () => {
  const text = new TextDecoder().decode(await Bun.zstdDecompress(await encodeSnapshot(snapshot)));
  const cases: [string, string][] = [
    [text.slice(0, text.length / 2), "object_corrupt"],
    [text.slice(0, text.lastIndexOf("\n", text.length - 2) + 1), "object_corrupt"],
    [text.replace("b77", "b78"), "object_corrupt"],
    [text.replace('"version":1', '"version":2'), "object_version"],
    ["", "object_corrupt"],
  ];
  for (const [changed, code] of cases) {
    const bytes = await Bun.zstdCompress(new TextEncoder().encode(changed));
    await expect(decodeSnapshot("k", bytes)).rejects.toMatchObject({
      code,
      message: expect.stringContaining("k"),
    });
  }
  await expect(decodeSnapshot("k", new Uint8Array(9))).rejects.toMatchObject({ code: "object_corrupt" });
});
