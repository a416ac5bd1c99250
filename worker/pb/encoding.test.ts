import { describe, expect, test } from "bun:test";
import { parseExactly } from "../model/fields/json-text.ts";
import { excerpt } from "./excerpt.ts";
import { inferValues } from "./form-values.ts";
import { encodeGo, marshalGo, sortedKeys } from "./go-json.ts";
import { sniffMime } from "./mime.ts";
import { pickFields, UnusableFields } from "./pick-fields.ts";

test("marshalGo escapes what Go escapes, encodeGo ends the line", () => {
  expect(marshalGo({ a: "<b> & \u2028\u2029 é" })).toBe(`{"a":"\\u003cb\\u003e \\u0026 \\u2028\\u2029 é"}`);
  expect(encodeGo([])).toBe("[]\n");
});

test("sortedKeys sorts objects at every depth, not arrays", () => {
  expect(JSON.stringify(sortedKeys({ b: [{ d: 1, c: 2 }], B: 1, a: null }))).toBe(
    `{"B":1,"a":null,"b":[{"c":2,"d":1}]}`,
  );
});

describe("inferValues", () => {
  const table: [string, unknown][] = [
    ["true", true],
    ["false", false],
    ["True", "True"],
    ["12", 12],
    ["-1.5", -1.5],
    ["007", "007"],
    ["1.0", "1.0"],
    ["1e3", "1e3"],
    [".5", ".5"],
    ["-", "-"],
    ["", ""],
    ["12345678901234567890", "12345678901234567890"],
    ["100000000000000000000000", 1e23],
  ];
  for (const [text, value] of table) {
    test(`${JSON.stringify(text)} is ${JSON.stringify(value)}`, () => {
      expect(inferValues([["key", text]])).toEqual({ key: value });
    });
  }
  test("repeated keys make an array; @jsonPayload is merged as it is", () => {
    const entries: [string, string][] = [
      ["a", "1"],
      ["a", "x"],
      ["@jsonPayload", `{"b":"1","a":"2"}`],
    ];
    expect(inferValues(entries)).toEqual({ a: "2", b: "1" });
    expect(() => inferValues([["@jsonPayload", "[1]"]])).toThrow();
  });
});

describe("pickFields", () => {
  const record = {
    id: "1",
    title: "<p>Some   <b>bold</b> text</p>",
    tags: ["x"],
    expand: { rel: { id: "2", name: "n", z: 1 } },
  };
  const table: [string, unknown][] = [
    ["id", { id: "1" }],
    ["id,expand.rel.name", { id: "1", expand: { rel: { name: "n" } } }],
    ["*,expand.rel.id", { ...record, expand: { rel: { id: "2" } } }],
    ["expand.*", { expand: record.expand }],
    ["title:excerpt(6,true)", { title: "Some b..." }],
    ["title:excerpt 4", { title: "Some" }],
    ["title:excerpt(4.9 (true))x", undefined],
    ["title:excerpt(1e1)", undefined],
    ["title:excerpt('4')", undefined],
    ['title"', undefined],
    ["expand.rel.", { expand: { rel: record.expand.rel } }],
    ["missing", {}],
  ];
  for (const [fields, expected] of table) {
    test(fields, () => {
      if (expected === undefined) expect(() => pickFields(record, fields)).toThrow(UnusableFields);
      else expect(pickFields(record, fields)).toEqual(expected);
    });
  }
  test("picks from the items of a list answer and keeps its totals", () => {
    const list = { items: [record], page: 1, perPage: 30, totalItems: 1, totalPages: 1 };
    expect(pickFields(list, "id")).toEqual({ ...list, items: [{ id: "1" }] });
  });
  test("refuses an unknown modifier and a useless length", () => {
    expect(() => pickFields(record, "title:upper()")).toThrow();
    expect(() => pickFields(record, "title:excerpt(0)")).toThrow();
  });
});

test.each([
  ["<script>if (a<b) c()</script>d", "d"],
  ["<STYLE>a</style >b<script/>c</script>d", "bd"],
  ["<textarea>a</textareas></textarea>b", "b"],
  ["a<!-->b<!--->c<!--d--!>e<!-- f", "abce"],
  ["</>a</ x>b", "ab"],
  ["a</div>b</section>c</p>d", "abc d"],
  ["<div>a</div>b", "a b"],
  ["a\0b &#128;&#xD800;&#0;", "ab €\ufffd\ufffd"],
])("excerpt reads %p as a browser does", (html, text) => {
  expect(excerpt(html, 100, true)).toBe(text);
});

test("excerpt drops tags that hold no text and decodes entities", () => {
  expect(excerpt("<style>p{}</style><p>a&amp;b</p><p>c</p><script>x</script>", 100, true)).toBe("a&b c");
  expect(excerpt("<script>x<style></script>a<svg><svg></svg>y</svg>b", 100, true)).toBe("ab");
});

test("pickFields keeps how Go orders keys and writes zero", () => {
  const json = parseExactly('{"9":-0,"10":1.50}');
  expect(marshalGo(pickFields({ id: "1", json }, "json"))).toBe('{"json":{"10":1.5,"9":-0}}');
});

test.each([
  ["日本語テキスト", 3, "日本語..."],
  // Of the texts between the tags those are left out before which there are 2 bytes more than asked for.
  ["<b>日本</b><i>語</i>", 4, "日本"],
  ["<b>日本</b><i>語</i>", 5, "日本語"],
  // The space between two blocks counts.
  ["<p>日本語</p><p>b</p>", 8, "日本語"],
  ["before<script>x</script>after", 50, "beforeafter"],
  ["a&nbsp;&nbsp;b", 50, "a\u00a0\u00a0b"],
  ["a<b", 50, "a"],
  ["a<?php b ?>c", 50, "ac"],
  ["5 < 6", 50, "5 < 6"],
])("excerpt of %s to %d", (html, max, expected) => {
  expect(excerpt(html, max, true)).toBe(expected);
});

describe("sniffMime", () => {
  const table: [string, Uint8Array | string][] = [
    [
      "image/png",
      new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52]),
    ],
    ["application/pdf", "%PDF-1.7\n"],
    ["text/plain", "hello"],
    ["text/plain", ""],
    ["text/html", "<!DOCTYPE html><p>x"],
    ["image/svg+xml", `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"></svg>`],
    ["application/json", `{"a":[1]}`],
    ["application/octet-stream", new Uint8Array([0, 1, 2, 3])],
  ];
  for (const [mime, content] of table) {
    test(`${mime} from ${JSON.stringify(content).slice(0, 30)}`, async () => {
      expect(await sniffMime(typeof content === "string" ? new TextEncoder().encode(content) : content)).toBe(
        mime,
      );
    });
  }
});
