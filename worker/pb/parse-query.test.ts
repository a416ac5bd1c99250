import { expect, test } from "bun:test";
import { parseQuery } from "./parse-query.ts";

test.each([
  ["", []],
  ["?", []],
  [
    "?a=1&a=2&b=%2B+c",
    [
      ["a", "1"],
      ["a", "2"],
      ["b", "+ c"],
    ],
  ],
  ["?a=1;b=2&c=3", [["c", "3"]]],
  ["?a=%zz&b=%4&%=1&c=%41", [["c", "A"]]],
] as [string, [string, string][]][])("parseQuery %s", (search, expected) => {
  expect([...parseQuery(search)]).toEqual(expected);
});
