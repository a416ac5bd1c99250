import { expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import { encodeRows, jsonPieces } from "./json-pieces.ts";

async function piecesOf(value: unknown): Promise<string[]> {
  const pieces: string[] = [];
  for await (const piece of jsonPieces(value)) pieces.push(piece);
  return pieces;
}

const long = (count: number): unknown[] =>
  Array.from({ length: count }, (_, number) => [{ type: "integer", value: String(number) }, null]);

test.each([
  [{}],
  [[]],
  [null],
  ['text "é'],
  [{ a: undefined, b: [1, undefined, { c: [] }] }],
  [{ results: [{ rows: long(limits.sqlRowsPerMessage * 3 + 7) }, { rows: [] }, null], b: 1 }],
  [long(limits.sqlRowsPerMessage)],
  [[long(limits.sqlRowsPerMessage + 1), 1, { x: "y" }]],
])("jsonPieces writes what JSON.stringify does", async (value) => {
  expect((await piecesOf(value)).join("")).toBe(JSON.stringify(value));
});

test("no piece is longer than a part of a long array, and others have their turn between them", async () => {
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 0);
  const rows = Array.from({ length: 60_000 }, () => ["x".repeat(20), 5n]);
  const pieces = await piecesOf({ rows: await encodeRows(rows) });
  clearInterval(timer);
  expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThan(limits.sqlRowsPerMessage * 100);
  expect(turns).toBeGreaterThan(10);
});
