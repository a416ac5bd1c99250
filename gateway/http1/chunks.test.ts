import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { ChunkReader } from "./chunks.ts";

const encode = (text: string) => new TextEncoder().encode(text);

/** Feeds the bytes in pieces of these sizes. */
function readAll(bytes: Uint8Array<ArrayBuffer>, sizes: readonly number[]) {
  const reader = new ChunkReader();
  let text = "";
  let at = 0;
  for (let i = 0; at < bytes.length && !reader.ended; i++) {
    const piece = bytes.subarray(at, at + (sizes[i % sizes.length] ?? 1));
    const { data, taken } = reader.read(piece);
    for (const part of data) text += new TextDecoder("latin1").decode(part);
    at += taken;
  }
  return { text, taken: at, ended: reader.ended };
}

test("chunks come apart the same in whatever pieces they arrive", () => {
  const chunk = fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(
      fc.array(chunk),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      fc.boolean(),
      (chunks, sizes, trailer) => {
        const framed = chunks.map((part) => `${part.length.toString(16)};x=y\r\n${part}\r\n`).join("");
        const body = `${framed}0\r\n${trailer ? "A: b\r\n" : ""}\r\n`;
        const read = readAll(encode(`${body}next`), sizes);
        expect(read).toEqual({ text: chunks.join(""), taken: body.length, ended: true });
      },
    ),
  );
});

test.each(["x\r\n", "-1\r\n", "1\r\nab\r\n", "1\n", "0\n\n", "1 \r\na\r\n", "1111111111111\r\n", "\r\n"])(
  "%j is refused",
  (text) => {
    expect(() => readAll(encode(text), [100])).toThrow();
    expect(() => readAll(encode(text), [1])).toThrow();
  },
);

test("lines between chunks and trailers are bounded", () => {
  expect(() => readAll(encode(`1;${"a".repeat(2_000)}\r\n`), [300])).toThrow();
  expect(() => readAll(encode(`0\r\n${"A: b\r\n".repeat(4_000)}`), [300])).toThrow();
});
