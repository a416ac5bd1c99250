import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import type { Comparison, Group, Operand } from "./ast.ts";
import { FilterError } from "./error.ts";
import { parseFilter } from "./parse.ts";

/** The tree as text with every group in brackets. */
function show(node: Group | Comparison | Operand): string {
  switch (node.type) {
    case "group":
      return `[${node.items.map(({ join, item }, index) => (index === 0 ? "" : ` ${join} `) + show(item)).join("")}]`;
    case "comparison":
      return `${show(node.left)} ${node.any ? "?" : ""}${node.operator} ${show(node.right)}`;
    case "function":
      return `${node.name}(${node.args.map(show).join(", ")})`;
    case "identifier":
      return node.name;
    default:
      return JSON.stringify(node.value);
  }
}

describe("parseFilter", () => {
  test.each([
    ["a=1", "[a = 1]"],
    ["a = -1.5", "[a = -1.5]"],
    ["a=.5", undefined],
    ["a = 'x' && b ?!~ \"y\"", '[a = "x" && b ?!~ "y"]'],
    ["a=1 && b=2 || c=3", "[a = 1 && b = 2 || c = 3]"],
    ["(a=1||b=2)&&c=3", "[[a = 1 || b = 2] && c = 3]"],
    ["((a=1))", "[[[a = 1]]]"],
    ["a=1 (b=2)", "[a = 1 && [b = 2]]"],
    ["// first\na = 1 // last", "[a = 1]"],
    ["a = 'it\\'s'", '[a = "it\'s"]'],
    ["a = 'say \\\"x\\\"'", '[a = "say \\"x\\""]'],
    ["a = 'ends with \\\\' && b = 1", '[a = "ends with \\\\" && b = 1]'],
    ["a = '\\n\\r\\t\\\\n\\\\\\n'", '[a = "\\n\\r\\t\\\\n\\\\\\n"]'],
    ["a ~ '\\%\\_\\u0041'", '[a ~ "\\\\%\\\\_\\\\u0041"]'],
    ["a = '// no comment'", '[a = "// no comment"]'],
    ["(a = ')')", '[[a = ")"]]'],
    ["@request.auth.id:lower != @collection.a:b.c", "[@request.auth.id:lower != @collection.a:b.c]"],
    ["geoDistance(a.lon, 1,-2.5 ,b) < 3", "[geoDistance(a.lon, 1, -2.5, b) < 3]"],
    ["f() > g('x', h(1),)", '[f() > g("x", h(1))]'],
    [
      "a >= 1 && a <= 2 && a > 3 && a < 4 && a ~ 5 && a !~ 6",
      "[a >= 1 && a <= 2 && a > 3 && a < 4 && a ~ 5 && a !~ 6]",
    ],
    [
      "a ?= 1 || a ?!= 1 || a ?> 1 || a ?>= 1 || a ?< 1 || a ?<= 1 || a ?~ 1",
      "[a ?= 1 || a ?!= 1 || a ?> 1 || a ?>= 1 || a ?< 1 || a ?<= 1 || a ?~ 1]",
    ],
  ])("%s", (text, expected) => {
    if (expected === undefined) expect(() => parseFilter(text)).toThrow(FilterError);
    else expect(show(parseFilter(text).root)).toBe(expected);
  });

  test.each([
    ["", 0],
    ["a\r= 1", 1],
    ["a\u00a0= 1", 1],
    ["a = 'x\0y'", 4],
    ["  // only a comment", 19],
    ["a", 1],
    ["a =", 3],
    ["a = 1 &&", 8],
    ["a = 1 & b = 2", 6],
    ["a = 1 b = 2", 6],
    ["a == 1", 2],
    ["a =! 1", 2],
    ["a = 'x", 4],
    ["a = 'x\\'", 4],
    ["(a = 1", 6],
    ["a = 1)", 5],
    ["()", 1],
    ["a = (b = 1)", 4],
    ["a = 1.", 4],
    ["a = 1.2.3", 4],
    ["a = -", 4],
    ["a. = 1", 0],
    ["a@b = 1", 0],
    ["a = b-c", 5],
    ["a = 1; drop", 5],
    ["a = 1, b = 2", 5],
    ["f(1 2) = 1", 4],
    ["f(,) = 1", 2],
    ["f(1 = 1", 4],
    ["f(g(h(i(1)))) = 1", 6],
    ["a / b", 2],
    ["a = \u0000", 4],
  ])("%p fails at %d", (text, position) => {
    let thrown: unknown;
    try {
      parseFilter(text);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(FilterError);
    expect((thrown as FilterError).position).toBe(position);
  });

  test("bounds comparisons and nesting", () => {
    const chain = (length: number) => Array.from({ length }, () => "a=1").join("&&");
    expect(parseFilter(chain(200)).root.items).toHaveLength(200);
    expect(() => parseFilter(chain(201))).toThrow("too many comparisons");
    expect(() => parseFilter("(".repeat(100_000) + "a=1")).toThrow("nested too deep");
  });

  test("shape tells apart what changes the SQL, and nothing else", () => {
    const shape = (text: string) => parseFilter(text).shape;
    expect(shape("a='x'&&b=1")).toBe(shape('a = "other" && b = -2 // why'));
    expect(shape("a='x'")).not.toBe(shape("a=''"));
    expect(shape("a='1'")).not.toBe(shape("a=1"));
    expect(shape("f(a)=1")).not.toBe(shape("f=1"));
    expect(parseFilter("a='x'&&b=-2").literals).toEqual(["x", -2]);
  });

  test("any text parses or fails with FilterError", () => {
    const pieces = [
      "a",
      "@request.auth.id",
      " ",
      "(",
      ")",
      "'",
      '"',
      "\\",
      "=",
      "?",
      "!",
      "~",
      "&&",
      "||",
      "1",
      "-",
      ".",
      ",",
      "//",
      "\n",
      "f(",
      "é",
    ];
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(fc.constantFrom(...pieces)).map((list) => list.join("")),
    );
    fc.assert(
      fc.property(text, (source) => {
        try {
          parseFilter(source);
        } catch (error) {
          if (!(error instanceof FilterError)) throw error;
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
