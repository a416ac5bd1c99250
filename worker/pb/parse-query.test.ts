import { expect, test } from "bun:test";
import { firstOfSearch, firstValues, parseQuery } from "./parse-query.ts";

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

test.each([
  "",
  "?",
  "??a=1",
  "?a&b=&=c&&a=2&b=3",
  "?a=b=c&sort=-created,@random&filter=(a='x'&&b>1)",
  "?a=x+y&b=%41",
  "?a=1;b=2",
  "?__proto__=1&constructor=2&é=ü",
  "?a=1#b",
])("firstOfSearch %s is what parseQuery has first", (search) => {
  expect(firstOfSearch(search)).toEqual(firstValues(parseQuery(search)));
});
