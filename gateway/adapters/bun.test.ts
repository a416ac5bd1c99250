import { expect, test } from "bun:test";
import { mac } from "../../shared/protocol/mac.ts";
import { bunParts } from "./bun.ts";

test("Bun signs as everybody does", () => {
  const key = { id: "g1", secret: new Uint8Array(32).fill(7) };
  for (const text of ["", "grant\nv1", "é".repeat(200)]) {
    expect(bunParts(new AbortController().signal).mac?.(key, text)).toBe(mac(key, text));
  }
});
