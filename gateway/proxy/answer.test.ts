import { expect, test } from "bun:test";
import { parseFields } from "../http1/fields.ts";
import { Outgoing } from "../http1/outgoing.ts";
import { Answer } from "./answer.ts";
import { Exchange } from "./exchange.ts";
import { FieldList, type Incoming } from "./incoming.ts";
import type { Fields } from "./upstream.ts";

const PARENT = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;

function exchangeOf(fields: Fields): Exchange {
  const request: Incoming = {
    ...{ method: "GET", url: "/", headers: new FieldList(fields), body: null },
    signal: new AbortController().signal,
  };
  return new Exchange(request, { address: "192.0.2.1", protocol: "http" });
}

const byName = (fields: Iterable<[string, string]>): Fields =>
  [...fields].sort(([a], [b]) => (a < b ? -1 : 1));
const put = (write: (out: Outgoing) => void): Fields => {
  const out = new Outgoing();
  write(out);
  return parseFields(new TextDecoder().decode(out.copy(null)).slice(0, -2), 0);
};

test("what is set is in a head as it is in a response, once, and in a copy, too", () => {
  const exchange = exchangeOf([]);
  for (const copied of [false, true]) {
    const fields: Fields = [
      ["x-request-id", "another"],
      ["ratelimit-limit", "0"],
      ["a", "b"],
    ];
    let answer = new Answer(200, fields, new Uint8Array(1));
    answer.identify(exchange);
    answer.set("ratelimit-limit", "5");
    if (copied) answer = answer.kept();
    const added: Fields = [
      ["ratelimit-limit", "5"],
      ["x-request-id", exchange.requestId],
    ];
    expect(answer.fields).toEqual([["a", "b"]]);
    expect(byName(put((out) => answer.putLines(out)))).toEqual(added);
    expect(byName(answer.toResponse().headers)).toEqual([["a", "b"], ...added]);
  }
});

test.each([
  [[], /^[0-9a-f]{32}$/, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/],
  [[["x-request-id", "mine.1"]], /^mine\.1$/, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/],
  [[["traceparent", PARENT]], /^[0-9a-f]{32}$/, new RegExp(`^${PARENT}$`)],
  [
    [["x-request-id", "mine.1"] as [string, string], ["traceparent", PARENT]],
    /^mine\.1$/,
    new RegExp(`^${PARENT}$`),
  ],
  [
    [["x-request-id", "not mine"] as [string, string], ["traceparent", "00"]],
    /^[0-9a-f]{32}$/,
    /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/,
  ],
] as [Fields, RegExp, RegExp][])("the ids of %j are the same as text and in a head", (sent, id, parent) => {
  const exchange = exchangeOf(sent);
  expect(exchange.requestId).toMatch(id);
  expect(exchange.traceparent).toMatch(parent);
  expect(exchange.newTrace).toBe(exchange.traceparent !== PARENT);
  expect(put((out) => exchange.putIds(out))).toEqual([
    ["x-request-id", exchange.requestId],
    ["traceparent", exchange.traceparent],
  ]);
});
