import { describe, expect, test } from "bun:test";
import { fromLatin1, headEnd, parseHead, toLatin1 } from "./head.ts";

const text = (...lines: string[]): string => lines.join("\r\n");

describe("a head", () => {
  test.each<[string, string, string, number | "chunked" | "close", boolean]>([
    ["a length", text("HTTP/1.1 200 OK", "Content-Length: 5"), "GET", 5, true],
    ["chunks", text("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), "GET", "chunked", true],
    ["neither", text("HTTP/1.1 200 OK"), "GET", "close", false],
    ["an answer to HEAD", text("HTTP/1.1 200", "Content-Length: 5"), "HEAD", 0, true],
    ["204", text("HTTP/1.1 204 No Content"), "GET", 0, true],
    ["304", text("HTTP/1.1 304 Not Modified", "content-length: 9"), "GET", 0, true],
    ["close", text("HTTP/1.1 200 OK", "Content-Length: 5", "Connection: Close"), "GET", 5, false],
    ["1.0", text("HTTP/1.0 200 OK", "Content-Length: 5"), "GET", 5, false],
    [
      "the same length twice",
      text("HTTP/1.1 200 OK", "Content-Length: 5", "content-length: 5"),
      "GET",
      5,
      true,
    ],
  ])("with %s is framed", (_, head, method, length, persistent) => {
    expect(parseHead(head, method)).toMatchObject({ length, persistent });
  });

  test.each([
    ["no status line", text("HTTP/2 200 OK")],
    ["a status of four digits", text("HTTP/1.1 2000 OK")],
    ["two lengths", text("HTTP/1.1 200 OK", "Content-Length: 5", "Content-Length: 6")],
    ["a list of lengths", text("HTTP/1.1 200 OK", "Content-Length: 5, 5")],
    ["a signed length", text("HTTP/1.1 200 OK", "Content-Length: +5")],
    ["a length and chunks", text("HTTP/1.1 200 OK", "Content-Length: 5", "Transfer-Encoding: chunked")],
    ["another coding", text("HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked")],
    ["chunked twice", text("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")],
    ["a space before the colon", text("HTTP/1.1 200 OK", "Content-Length : 5")],
    ["a folded line", text("HTTP/1.1 200 OK", "A: b", " c")],
    ["a line without a colon", text("HTTP/1.1 200 OK", "nonsense")],
    ["a bare line feed", text("HTTP/1.1 200 OK", "A: b\nContent-Length: 5")],
  ])("with %s is refused", (_, head) => {
    expect(() => parseHead(head, "GET")).toThrow();
  });

  test("that came before is framed by what was asked now", () => {
    const head = text("HTTP/1.1 200 OK", "Content-Length: 7");
    expect(["GET", "HEAD", "GET"].map((method) => parseHead(head, method).length)).toEqual([7, 0, 7]);
    expect(parseHead(head.replace("7", "8"), "GET").length).toBe(8);
  });

  test("ends after its empty line, wherever reading stopped before", () => {
    const bytes = toLatin1("HTTP/1.1 200 OK\r\nA: \r\n\r\nbody\r\n\r\n");
    const end = bytes.length - "body\r\n\r\n".length;
    for (let from = 0; from <= end - 4; from++) expect(headEnd(bytes, from)).toBe(end);
    for (let length = 0; length < end; length++) expect(headEnd(bytes.subarray(0, length), 0)).toBe(-1);
  });

  test("is bytes, of any value", () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    expect(toLatin1(fromLatin1(all))).toEqual(all);
    expect(() => toLatin1("\u0100")).toThrow();
  });
});
