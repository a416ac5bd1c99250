import { expect, test } from "bun:test";
import { matchesPattern, patternError } from "./pattern.ts";

test.each<[string, string, boolean]>([
  ["^[a-z0-9]+$", "abc1", true],
  ["^[a-z0-9]+$", "abc-", false],
  ["^[[:alpha:]_]+$", "ab_", true],
  ["^\\w+$", "añ", false],
  ["^[\\w][\\w\\.\\-]*$", "a.b-c", true],
  ["(?i)^abc$", "ABC", true],
  ["^\\pL+$", "é日", true],
  ["^\\p{Greek}+$", "λ", true],
  ["^\\Qa.b\\E$", "axb", false],
  ["^a(?i)b$", "aB", true],
  ["^.{2}$", "😀é", true],
  ["\\Aab\\z", "ab", true],
  ["^[\\w\\-]+$", "a-b", true],
  ["(?=x)", "x", false],
])("matchesPattern: %s on %s is %p", (pattern, text, expected) => {
  expect(matchesPattern(pattern, text)).toBe(expected);
});

test("matchesPattern: repeated repetitions take no longer for longer texts than those are", () => {
  expect(matchesPattern("^(?:(?:a+)+|(?:a|a)*)+$", `${"a".repeat(4000)}!`)).toBe(false);
});

test.each([
  ["(?=x)", "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"],
  ["(a)\\1", "error parsing regexp: invalid escape sequence: `\\1`"],
  ["x{1001}", "error parsing regexp: invalid repeat count: `{1001}`"],
  ["a++", "error parsing regexp: invalid nested repetition operator: `++`"],
  ["[a", "error parsing regexp: missing closing ]: `[a`"],
  ["\\", "error parsing regexp: trailing backslash at end of expression: ``"],
  ["[z-a]", "error parsing regexp: invalid character class range: `z-a`"],
  ["^[\\w.+-]{3,30}$", undefined],
] as const)("patternError: %s", (pattern, expected) => expect(patternError(pattern)).toBe(expected));
