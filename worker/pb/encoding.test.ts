import { describe, expect, test } from "bun:test";
import { excerpt } from "./excerpt.ts";
import { inferValues } from "./form-values.ts";
import { encodeGo, marshalGo, sortedKeys } from "./go-json.ts";
import { sniffMime } from "./mime.ts";
import { pickFields } from "./pick-fields.ts";

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
    ["missing", {}],
  ];
  for (const [fields, expected] of table) {
    test(fields, () => expect(pickFields(record, fields)).toEqual(expected));
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

test("excerpt drops tags that hold no text and decodes entities", () => {
  expect(excerpt("<style>p{}</style><p>a&amp;b</p><p>c</p><script>x</script>", 100, true)).toBe("a&b c");
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
