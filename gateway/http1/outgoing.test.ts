import { expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import { ProtocolError } from "./fields.ts";
import { fromLatin1, toLatin1 } from "./head.ts";
import { Outgoing } from "./outgoing.ts";

const all = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
const said = (out: Outgoing, body: Uint8Array | null = null): string => fromLatin1(out.copy(body));

test("texts and bytes are there in order, and gone when it begins again", () => {
  const out = new Outgoing().begin();
  out.text("a ");
  out.put(toLatin1("b "));
  out.hex(Uint8Array.of(9, 0, 255, 16, 10), 1, 3);
  out.text(all);
  expect(said(out)).toBe(`a b 00ff10${all}`);
  expect(said(out, toLatin1("body"))).toBe(`a b 00ff10${all}body`);
  out.begin().text("c");
  expect(said(out)).toBe("c");
});

test("what has no room makes some, and that does not stay", () => {
  const out = new Outgoing().begin();
  const most = limits.outgoingBytes;
  for (const put of [
    () => out.text("x".repeat(most)),
    () => out.put(new Uint8Array(most).fill(120)),
    () => {
      for (let i = 0; i < most; i += 256) out.text("x".repeat(256));
    },
    () => out.hex(new Uint8Array(most / 2), 0, most / 2),
  ]) {
    out.begin().text("head ");
    put();
    out.text(" end");
    const text = said(out);
    expect([text.length, text.slice(0, 6), text.slice(-5)]).toEqual([
      most + 9,
      expect.stringMatching(/^head [x0]$/),
      expect.stringMatching(/^[x0] end$/),
    ]);
  }
  expect(out.begin().bytes.length).toBe(most);
});

test("a character that is no byte is refused, and nothing of its text is there", () => {
  const out = new Outgoing().begin();
  out.text("a");
  for (const text of ["bc\u0100", `${"b".repeat(2_000)}\u0100`]) {
    expect(() => out.text(text)).toThrow(ProtocolError);
  }
  expect(said(out)).toBe("a");
});
