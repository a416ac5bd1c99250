import { expect, test } from "bun:test";
import { Outgoing } from "../http1/outgoing.ts";
import { Exchange } from "./exchange.ts";
import { forwardedLines, putForwarded } from "./headers.ts";
import { FieldList, type Incoming } from "./incoming.ts";

const headers = new FieldList([["host", "acme.example.com"]]);
const request: Incoming = {
  ...{ method: "GET", url: "/", headers, body: null },
  signal: new AbortController().signal,
};
function lines(address: string, protocol = "https", identity = false): string {
  const exchange = new Exchange(request, { address, protocol });
  const out = new Outgoing();
  putForwarded(out, request, exchange, identity);
  const text = forwardedLines(request, exchange, identity);
  expect(new TextDecoder().decode(out.copy(null))).toBe(text);
  return text;
}

test("what is said of where a request came from is of this one, also when the headers are the last one's", () => {
  for (const address of ["192.0.2.1", "192.0.2.2"]) {
    expect(lines(address)).toContain(`x-forwarded-for: ${address}\r\nx-real-ip: ${address}\r\n`);
  }
  expect(lines("192.0.2.2", "http")).toContain(
    "x-forwarded-proto: http\r\nx-forwarded-host: acme.example.com\r\n",
  );
  const ids = [lines("192.0.2.2"), lines("192.0.2.2")].map(
    (text) => /x-request-id: (\w{32})\r\n/.exec(text)?.[1],
  );
  expect(ids[0]).not.toBe(ids[1]);
});
