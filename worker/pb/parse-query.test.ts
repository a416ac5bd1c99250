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
  "?a=1&a",
  "?a=x+y",
  "?a=b=c",
  "?a=b=c&sort=-created,@random&filter=(a='x'&&b>1)",
  "?a=x+y&b=%41",
  "?a=1;b=2",
  "?__proto__=1&constructor=2&é=ü",
  "?a=1#b",
])("firstOfSearch %s is what parseQuery has first", (search) => {
  expect(firstOfSearch(search)).toEqual(firstValues(parseQuery(search)));
});

test.each(["?constructor=1&__proto__=2&toString=3", "?constructor=1&__proto__=2&toString=%33"])(
  "names of what objects inherit are names as any: %s",
  (search) => {
    expect(Object.entries(firstOfSearch(search))).toEqual([
      ["constructor", "1"],
      ["__proto__", "2"],
      ["toString", "3"],
    ]);
    expect(firstOfSearch("?a=1")["valueOf"]).toBeUndefined();
  },
);
