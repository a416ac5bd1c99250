import { expect, test } from "bun:test";
import { parseFilter } from "../../../shared/filter/parse.ts";
import { syntaxError } from "./rule-syntax.ts";

test.each([
  ["", "empty filter expression"],
  [" // c", "empty filter expression"],
  ["()", "empty filter expression"],
  ["a", "invalid or incomplete filter expression"],
  ["a = 1 &&", "invalid or incomplete filter expression"],
  ["= a", 'expected left operand (identifier, function, text or number), got "=" (sign)'],
  ["a b = 1", 'expected a sign operator, got "b" (identifier)'],
  ["a = && b", 'expected right operand (identifier, function text or number), got "&&" (join)'],
  ["a = 1 and b = 2", 'expected && or ||, got "and" (identifier)'],
  ["a == 1", 'invalid sign operator "=="'],
  ["a = 1 & b = 1", 'invalid join operator "&"'],
  ["a = 'x", `invalid quoted text "'x"`],
  ["((a = 1)", "invalid formatted group - missing 1 closing bracket(s)"],
  ["(a = ')'", "invalid formatted group - missing 1 closing bracket(s)"],
  ["a = 1)", "unexpected character ')'"],
  ["a. = 1", 'invalid identifier "a."'],
  ["@ = 1", 'invalid identifier "@"'],
  ["a = 1.", 'invalid number "1."'],
  ["a = 1 / 2", "invalid comment"],
  ["f(a b) = 1", 'expected comma after the last argument in function "f"'],
  ["f(,a) = 1", 'unexpected comma in function "f"'],
  ["f(a = 1", `expected comma after the last argument in function "f"`],
  ["f(a", `invalid or incomplete function "f" (expected ')')`],
  ["f(a.) = 1", 'invalid identifier argument "a." in function "f": invalid identifier "a."'],
  ["f(f(f(f(1)))) = 1", /max nested function arguments reached \(max: 3\)$/],
])("%p is no filter", (text, message) => {
  expect(() => parseFilter(text)).toThrow();
  expect(syntaxError(text) ?? "").toMatch(typeof message === "string" ? exactly(message) : message);
});

test.each(["a = 'x\\'' // c\n || (b ?!~ -1.5)", "f(a, 'x', g(1)) >= @now", "(a=1)(b=1)"])(
  "%p is a filter",
  (text) => {
    parseFilter(text);
    expect(syntaxError(text)).toBeUndefined();
  },
);

function exactly(text: string): RegExp {
  return new RegExp(`^${text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`);
}
