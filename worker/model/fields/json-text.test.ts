import { expect, test } from "bun:test";
import { fromBody, fromPlainText, parseExactly, stringifyExactly } from "./json-text.ts";

test.each([
  ["1.50", "1.50"],
  ["-0", "-0"],
  ["[1e2, 1E2,\n  12345678901234567890]", "[1e2,1E2,12345678901234567890]"],
  ['{"10": 1, "9": 2}', '{"10":1,"9":2}'],
  ['{"a":1,"a":2}', '{"a":1,"a":2}'],
  ['["\\u0041","\\/", "a  b"]', '["\\u0041","\\/","a  b"]'],
  ['{"b":[1,{"c":null}],"a":"2020-01-01"}', '{"b":[1,{"c":null}],"a":"2020-01-01"}'],
])("parseExactly %s is written as %s", (text, expected) => {
  const value = parseExactly(text);
  expect(stringifyExactly({ deep: [value] })).toBe(`{"deep":[${expected}]}`);
  // Anybody else meets a plain value.
  expect(JSON.stringify({ value })).toBe(JSON.stringify({ value: JSON.parse(text) as unknown }));
});

test("parseExactly gives the value itself to whoever looks into it", () => {
  const value = parseExactly('{"9":1.50,"10":[2]}');
  expect(value).toEqual({ "9": 1.5, "10": [2] });
  expect(Object.keys(value as object)).toEqual(["9", "10"]);
});

test.each([
  [{ b: 1, a: { "9": 1, "10": -0 } }, '{"a":{"10":-0,"9":1},"b":1}'],
  [{ "\ufb00": 1, "😀": 2 }, '{"\ufb00":1,"😀":2}'],
  [JSON.parse('{"__proto__":1}') as unknown, '{"__proto__":1}'],
  [-0, "-0"],
  [[null, "a"], '[null,"a"]'],
])("fromBody of %p is written as %s", (value, expected) => {
  expect(stringifyExactly(fromBody(value))).toBe(expected);
});

test.each([
  ["plain 日本 😀\t\n", '"plain 日本 😀\\t\\n"'],
  ["a\u00a0\u200b", '"a\\u00a0\\u200b"'],
  ["\u0000", '"\\x00"'],
  ["\u007f", '"\\x7f"'],
  ["\u{e0001}", '"\\U000e0001"'],
])("fromPlainText of %j is written as %s", (text, expected) => {
  expect(stringifyExactly(fromPlainText(text))).toBe(expected);
});

test("stringifyExactly is for one value at a time: an error leaves nothing behind", () => {
  const failing = {
    toJSON: () => {
      throw new Error("no");
    },
  };
  expect(() => stringifyExactly([parseExactly("1.50"), failing])).toThrow("no");
  expect(JSON.stringify([parseExactly("1.50")])).toBe("[1.5]");
});
