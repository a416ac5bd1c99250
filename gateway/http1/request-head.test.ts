import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { ProtocolError } from "./fields.ts";
import { type RequestHead, RequestHeads, parseRequestHead } from "./request-head.ts";

const text = (...lines: string[]): string => lines.join("\r\n");
const HOST = "Host: a.example";

describe("a request's head", () => {
  test.each<[string, string, Partial<RequestHead>]>([
    [
      "no body",
      text("GET /x?y=1 HTTP/1.1", HOST),
      { method: "GET", target: "/x?y=1", length: 0, persistent: true },
    ],
    ["a length", text("POST / HTTP/1.1", HOST, "Content-Length: 5"), { length: 5 }],
    ["chunks", text("POST / HTTP/1.1", HOST, "Transfer-Encoding: \tChunked "), { length: "chunked" }],
    ["close", text("GET / HTTP/1.1", HOST, "Connection: x, Close"), { persistent: false }],
    ["1.0", text("GET / HTTP/1.0"), { persistent: false, modern: false }],
    ["a client that waits", text("PUT / HTTP/1.1", HOST, "Expect: 100-Continue"), { waits: true }],
    [
      "a client of 1.0 that would wait",
      text("PUT / HTTP/1.0", HOST, "Expect: 100-continue"),
      { waits: false },
    ],
    [
      "a WebSocket",
      text("GET / HTTP/1.1", HOST, "Connection: Upgrade", "Upgrade: WebSocket"),
      { socket: true },
    ],
    [
      "an upgrade that no hop was told of",
      text("GET / HTTP/1.1", HOST, "Upgrade: websocket"),
      { socket: false },
    ],
    [
      "another upgrade",
      text("GET / HTTP/1.1", HOST, "Connection: upgrade", "Upgrade: h2c"),
      { socket: false },
    ],
    ["an absolute target", text("GET http://A.example/y?z HTTP/1.1", HOST), { target: "/y?z" }],
    ["an absolute target without a path", text("GET http://a.example?z HTTP/1.1", HOST), { target: "/?z" }],
    ["UTF-8 in its target", text("GET /\xc3\xa9 HTTP/1.1", HOST), { target: "/é" }],
  ])("with %s is read", (_, head, expected) => {
    expect(parseRequestHead(head)).toMatchObject(expected);
  });

  test.each([
    ["nothing", ""],
    ["another protocol", "PRI * HTTP/2.0"],
    ["a minor version that is none", text("GET / HTTP/1.2", HOST)],
    ["no target", text("GET HTTP/1.1", HOST)],
    ["two spaces", text("GET  / HTTP/1.1", HOST)],
    ["a tab in its line", text("GET\t/ HTTP/1.1", HOST)],
    ["a space before its line", text(" GET / HTTP/1.1", HOST)],
    ["CONNECT's target", text("CONNECT a.example:80 HTTP/1.1", HOST)],
    ["an asterisk", text("OPTIONS * HTTP/1.1", HOST)],
    ["an absolute target of another host", text("GET http://b.example/ HTTP/1.1", HOST)],
    ["an absolute target of a user", text("GET http://u@a.example/ HTTP/1.1", HOST)],
    ["a fragment", text("GET /#x HTTP/1.1", HOST)],
    ["bytes that are no characters", text("GET /\xff HTTP/1.1", HOST)],
    ["two hosts", text("GET / HTTP/1.1", HOST, "host: b.example")],
    ["chunks of 1.0", text("POST / HTTP/1.0", HOST, "Transfer-Encoding: chunked")],
    ["a length and chunks", text("POST / HTTP/1.1", HOST, "Content-Length: 1", "Transfer-Encoding: chunked")],
    ["two lengths", text("POST / HTTP/1.1", HOST, "Content-Length: 1", "Content-Length: 2")],
    ["another expectation", text("POST / HTTP/1.1", HOST, "Expect: x")],
    ["a name with a space", text("GET / HTTP/1.1", HOST, "A b: c")],
    ["a folded line", text("GET / HTTP/1.1", HOST, "A: b", "\tc")],
    ["a bare carriage return", text("GET / HTTP/1.1", HOST, "A: b\rC: d")],
    ["a bare line feed", text("GET / HTTP/1.1", HOST, "A: b\nC: d")],
    ["a zero byte", text("GET / HTTP/1.1", HOST, "A: b\0")],
    ["an empty name", text("GET / HTTP/1.1", HOST, ": b")],
  ])("with %s is refused", (_, head) => {
    expect(() => parseRequestHead(head)).toThrow(ProtocolError);
  });

  test("whatever comes is refused, or read the same when it is written as it was read", () => {
    const piece = fc.oneof(
      fc.constantFrom("\r\n", "\r", "\n", ":", " ", "\t", ",", "\0", HOST, "GET / HTTP/1.1", "HTTP/1.0"),
      fc.constantFrom(
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Connection: close",
        "chunked",
        "Expect: ",
      ),
      fc.string({ unit: "binary-ascii", maxLength: 6 }),
    );
    const heads = fc
      .array(piece, { maxLength: 12 })
      .map((pieces) => text("POST /x HTTP/1.1", HOST, pieces.join("")));
    let read = 0;
    fc.assert(
      fc.property(
        fc.oneof(
          heads,
          fc.array(piece).map((pieces) => pieces.join("")),
        ),
        (head) => {
          let first: RequestHead;
          try {
            first = parseRequestHead(head);
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
            return;
          }
          read += 1;
          const lines = [...first.headers].map(([name, value]) => `${name}: ${value}`);
          const line = `${first.method} ${first.target} HTTP/1.${first.modern ? 1 : 0}`;
          expect(parseRequestHead(text(line, ...lines))).toEqual(first);
          expect(head.replace(/\r\n$/, "").split("\r\n").length).toBe(lines.length + 1);
        },
      ),
      { numRuns: 2_000 },
    );
    expect(read).toBeGreaterThan(50);
  });

  test("is read on a connection as it would be alone, whatever came before", () => {
    const blocks = [
      [HOST],
      [HOST, "A: 1"],
      [HOST, "A: 2"],
      ["Host: b.example"],
      [HOST, "Expect: 100-continue"],
      [HOST, "Transfer-Encoding: chunked"],
      [HOST, `A: ${"x".repeat(5_000)}`],
      [HOST, HOST],
      [],
    ];
    const lines = [
      "GET / HTTP/1.1",
      "GET / HTTP/1.0",
      "POST http://a.example/x HTTP/1.1",
      "GET /#x HTTP/1.1",
    ];
    const outcome = (read: () => RequestHead): RequestHead | string => {
      try {
        return read();
      } catch (error) {
        return String(error);
      }
    };
    const heads = fc
      .tuple(fc.constantFrom(...lines), fc.constantFrom(...blocks))
      .map(([line, block]) => text(line, ...block));
    fc.assert(
      fc.property(fc.array(heads), (sent) => {
        const connection = new RequestHeads();
        for (const head of sent) {
          expect(outcome(() => connection.read(head))).toEqual(outcome(() => parseRequestHead(head)));
        }
      }),
    );
  });
});
