import { expect, test } from "bun:test";
import { parseDomain } from "./parse-domain.ts";

test.each([
  ["www.acme.example", "www.acme.example"],
  [" WWW.Acme.Example. ", "www.acme.example"],
  ["bücher.example", "xn--bcher-kva.example"],
  ["xn--bcher-kva.example", "xn--bcher-kva.example"],
  ["ＷＷＷ.example", "www.example"],
])("%j is %s", (raw, expected) => expect(parseDomain(raw, "app.test")).toBe(expected));

test.each([
  ["", "app.test"],
  ["example", "app.test"],
  ["app.test", "app.test"],
  ["acme.app.test", "app.test"],
  ["ACME.App.Test.", "app.test"],
  // With it a tenant could speak for the platform's own parent.
  ["test.example", "app.test.example"],
  ["127.0.0.1", "app.test"],
  ["0x7f.1", "app.test"],
  ["[::1]", "app.test"],
  ["a.localhost", "app.test"],
  ["a_b.example", "app.test"],
  ["-a.example", "app.test"],
  ["a..example", "app.test"],
  ["*.example.com", "app.test"],
  ["user@www.example", "app.test"],
  ["www.example:8080", "app.test"],
  ["www.example/path", "app.test"],
  ["www.exa%6dple", "app.test"],
  [`${"a".repeat(64)}.example`, "app.test"],
  [`${"a.".repeat(130)}example`, "app.test"],
])("%j is refused below %s", (raw, platform) =>
  expect(() => parseDomain(raw, platform)).toThrow(expect.objectContaining({ code: "invalid_domain" })),
);
