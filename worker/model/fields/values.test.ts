import { expect, test } from "bun:test";
import type { Field } from "../../../shared/schema/collection.ts";
import { toBool, toNumber, toText, toTexts } from "./cast.ts";
import { parseDateText } from "./date-text.ts";
import { stringifyExactly } from "./json-text.ts";
import { readField } from "./options.ts";
import { matchesPattern } from "./pattern.ts";
import { randomByPattern } from "./random-pattern.ts";
import { typeOf } from "./registry.ts";

const field = (type: string, options: Record<string, unknown> = {}): Field =>
  readField({ type, name: "f", ...options });

test.each<[unknown, string, number, boolean, string[]]>([
  [undefined, "", 0, false, []],
  [null, "", 0, false, []],
  ["", "", 0, false, []],
  ["abc", "abc", 0, false, ["abc"]],
  ["1_000.5", "1_000.5", 1000.5, false, ["1_000.5"]],
  ["0x1p4", "0x1p4", 16, false, ["0x1p4"]],
  ["0x1f", "0x1f", 0, false, ["0x1f"]],
  [-0, "-0", -0, false, ["-0"]],
  [1.5e30, `15${"0".repeat(29)}`, 1.5e30, true, [`15${"0".repeat(29)}`]],
  ["true", "true", 0, true, ["true"]],
  ["+Inf", "+Inf", Infinity, false, ["+Inf"]],
  ["-infinity", "-infinity", -Infinity, false, ["-infinity"]],
  ["1.50", "1.50", 1.5, false, ["1.50"]],
  [12, "12", 12, true, ["12"]],
  [1e21, "1000000000000000000000", 1e21, true, ["1000000000000000000000"]],
  [0.0000001, "0.0000001", 1e-7, true, ["0.0000001"]],
  [false, "false", 0, false, ["false"]],
  [["a", "", "b", "a", 3], "", 0, false, ["a", "b", "3"]],
  ['["a","b"]', '["a","b"]', 0, false, ["a", "b"]],
  ["[not json", "[not json", 0, false, ["[not json"]],
  [{ a: 1 }, "", 0, false, []],
])("casts of %p", (raw, text, number, bool, texts) => {
  expect([toText(raw), toNumber(raw), toBool(raw), toTexts(raw)]).toEqual([text, number, bool, texts]);
});

test.each([
  ["2022-10-10 09:49:46.145Z", "2022-10-10 09:49:46.145Z"],
  ["2022-10-10T09:49:46Z", "2022-10-10 09:49:46.000Z"],
  ["2022-10-10T09:49:46.123456+02:00", "2022-10-10 07:49:46.123Z"],
  ["2022-10-10T09:49:46-0130", "2022-10-10 11:19:46.000Z"],
  ["2022-10-10 09:49:46", "2022-10-10 09:49:46.000Z"],
  ["2022-10-10", "2022-10-10 00:00:00.000Z"],
  ["10 Oct 2022", "2022-10-10 00:00:00.000Z"],
  ["Mon, 10 Oct 2022 09:49:46 GMT", "2022-10-10 09:49:46.000Z"],
  ["2022-10-10 9:49:46", "2022-10-10 09:49:46.000Z"],
  ["2022-10-10 09:49:46 UTC", ""],
  ["2022-10-10 09:49:46 Z", ""],
  ["10 oct 2022", "2022-10-10 00:00:00.000Z"],
  ["1 Oct 2022", ""],
  ["Mon, 10 Oct 2022 09:49:46 EST", "2022-10-10 09:49:46.000Z"],
  ["Mon, 10 Oct 2022 09:49:46 -0500", "2022-10-10 14:49:46.000Z"],
  ["10 Oct 68 09:49 UTC", "2068-10-10 09:49:00.000Z"],
  ["Monday, 10-Oct-69 09:49:46 UTC", "1969-10-10 09:49:46.000Z"],
  ["Mon Oct 10 09:49:46 CEST 2022", "2022-10-10 09:49:46.000Z"],
  ["Mon Oct 10 2022", ""],
  ["9:49PM", "0000-01-01 21:49:00.000Z"],
  ["12:00AM", "0000-01-01 00:00:00.000Z"],
  ["9:49pm", ""],
  ["Oct 10 09:49:46.5", "0000-10-10 09:49:46.500Z"],
  ["2022-02-30", ""],
  ["2022-13-01 00:00:00.000Z", ""],
  ["2022-10-10 25:00:00", ""],
  ["tomorrow", ""],
  ["12345", ""],
  ["", ""],
  [1665395386, ""],
])("parseDateText(%p)", (raw, expected) => {
  expect(parseDateText(raw)).toBe(expected);
});

test.each([
  "[a-z0-9]{15}",
  "[a-zA-Z0-9_]{50}",
  "users[0-9]{5}",
  "ab(c|d)\\d{2,4}[^a-zA-Z ]?x+",
  "(?:a|b|\\-){3}\\w\\.",
  "\\S{3}\\D[\\W\\d]\\pL{2}\\PL",
  "(?i)\\x41\\x{42}(?i:c)\\p{Lu}\\p{Greek}\\t\\w{2}",
])("randomByPattern(%p) matches the pattern", (pattern) => {
  const made = new Set(Array.from({ length: 50 }, () => randomByPattern(pattern)));
  for (const text of made)
    expect({ text, matches: matchesPattern(`^(?:${pattern})$`, text) }).toEqual({ text, matches: true });
  expect(made.size).toBeGreaterThan(10);
});

test.each(["[a-z", "(ab", "a)"])("randomByPattern(%p) is refused", (pattern) => {
  expect(() => randomByPattern(pattern)).toThrow("Cannot generate");
});

test.each([
  ["^[a-z]{5}", 9],
  ["[a-z]{5}$", 10],
  ["a\\A", 9],
  ["a\\z", 10],
  ["\\bx", 11],
  ["x\\B", 12],
])("randomByPattern(%p) is refused: places make no text", (pattern, operator) => {
  expect(() => randomByPattern(pattern)).toThrow(`Unsupported pattern operator ${operator}`);
});

/** type, options, input, canonical value, column */
test.each<[string, Record<string, unknown>, unknown, unknown, unknown]>([
  ["text", {}, 12, "12", "12"],
  ["text", {}, null, "", ""],
  ["number", {}, "4.5", 4.5, 4.5],
  ["number", {}, "x", 0, 0],
  ["bool", {}, "true", true, true],
  ["bool", {}, "yes", false, false],
  ["date", {}, "2022-10-10", "2022-10-10 00:00:00.000Z", "2022-10-10 00:00:00.000Z"],
  ["date", {}, "garbage", "", ""],
  ["select", { values: ["a"] }, ["a", "b"], "b", "b"],
  ["select", { maxSelect: 2 }, ["a", "a", "", "b"], ["a", "b"], '["a","b"]'],
  ["select", { maxSelect: 2 }, "a", ["a"], '["a"]'],
  ["relation", { maxSelect: 2 }, '["x","y"]', ["x", "y"], '["x","y"]'],
  ["relation", {}, '["x","y"]', "y", "y"],
  ["json", {}, "", "", '""'],
  ["json", {}, "true", true, "true"],
  ["json", {}, "12", 12, "12"],
  ["json", {}, "-", "-", '"-"'],
  ["json", {}, "[1,2", "[1,2", '"[1,2"'],
  ["json", {}, '{"b":1,"a":2}', { b: 1, a: 2 }, '{"b":1,"a":2}'],
  ["json", {}, { b: { d: 1, c: 2 }, a: [2] }, { a: [2], b: { c: 2, d: 1 } }, '{"a":[2],"b":{"c":2,"d":1}}'],
  ["json", {}, null, null, null],
  ["geoPoint", {}, { lat: 2, lon: 1, x: 3 }, { lon: 1, lat: 2 }, '{"lon":1,"lat":2}'],
  ["geoPoint", {}, '{"lon":3}', { lon: 3, lat: 0 }, '{"lon":3,"lat":0}'],
  ["geoPoint", {}, "bad", { lon: 0, lat: 0 }, '{"lon":0,"lat":0}'],
])("%s %p: %p is %p, stored as %p", (type, options, input, value, column) => {
  const one = field(type, options);
  const handler = typeOf(one);
  expect(handler.normalise(one, input)).toEqual(value);
  expect(handler.toColumn(one, value)).toEqual(column as never);
  expect(handler.fromColumn(one, typeof column === "boolean" ? Number(column) : column)).toEqual(value);
});

/** Columns that other versions left behind. */
test.each<[string, Record<string, unknown>, unknown, unknown]>([
  ["select", { maxSelect: 3 }, "", []],
  ["select", { maxSelect: 3 }, "a", ["a"]],
  ["select", {}, '["a","b"]', "b"],
  ["relation", { maxSelect: 3 }, null, []],
  ["number", {}, null, 0],
  ["bool", {}, "true", true],
  ["date", {}, null, ""],
  ["json", {}, "not json", "not json"],
  ["json", {}, "", ""],
  ["json", {}, "true ", "true "],
  ["json", {}, "[\r\n  1\r\n]", [1]],
])("%s %p reads stored %p as %p", (type, options, stored, value) => {
  const one = field(type, options);
  expect(typeOf(one).fromColumn(one, stored)).toEqual(value);
});

test.each([
  [123_456.5, "123456.5"],
  [1_234_567.5, "1.2345675e+06"],
  [2.5e20, "2.5e+20"],
  [0.0001, "0.0001"],
  [0.000_012_34, "1.234e-05"],
  [1e15, "1000000000000000"],
])("a number %p of a view is shown as %p", (stored, shown) => {
  const one = field("json");
  expect(stringifyExactly(typeOf(one).fromColumn(one, stored))).toBe(shown);
});

test.each<[string, Record<string, unknown>, "f+" | "+f" | "f-", unknown, unknown, unknown]>([
  ["number", {}, "f+", 1, "2", 3],
  ["number", {}, "f-", 1, 5, -4],
  ["select", { maxSelect: 3 }, "f+", ["a"], ["b", "a"], ["a", "b"]],
  ["select", { maxSelect: 3 }, "+f", ["a"], "b", ["b", "a"]],
  ["select", { maxSelect: 3 }, "f-", ["a", "b"], "a", ["b"]],
  ["relation", {}, "f+", "a", "b", "b"],
  ["relation", {}, "f-", "a", ["a"], ""],
])("%s %p %s: %p with %p is %p", (type, options, setter, current, raw, expected) => {
  const one = field(type, options);
  expect(typeOf(one).setters?.[setter]?.(one, current, raw)).toEqual(expected);
});
