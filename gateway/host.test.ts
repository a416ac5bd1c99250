import { describe, expect, test } from "bun:test";
import { readHost } from "./host.ts";

describe("readHost", () => {
  test.each([
    ["acme.example.com", "tenant"],
    ["ACME.Example.Com:8443", "tenant"],
    ["acme.example.com.", "tenant"],
    ["xn--bcher-kva.example.com", "tenant"],
    ["admin.example.com", "operators"],
    ["app.example.com:80", "customers"],
    ["www.example.com", "base"],
    ["example.com", "base"],
    ["127.0.0.1:8080", "base"],
    ["[::1]:8080", "base"],
    ["localhost:8080", "base"],
    ["acme.example.org", "foreign"],
    ["evilexample.com", "foreign"],
    ["a.b.example.com", "malformed"],
    ["-a.example.com", "malformed"],
    ["", "malformed"],
    ["acme.example.com:99999999", "malformed"],
    ["acme.example.com/evil", "malformed"],
    ["acme example.com", "malformed"],
    ["user@acme.example.com", "malformed"],
    ["büche.example.com", "malformed"],
  ])("reads %p as %p", (header, kind) => {
    expect(readHost(header, "example.com").kind).toBe(kind as never);
  });

  test("gives the slug in lower case", () => {
    expect(readHost("ACME.localhost:8080", "localhost")).toEqual({ kind: "tenant", slug: "acme" as never });
  });

  test("refuses a missing header", () => {
    expect(readHost(null, "example.com")).toEqual({ kind: "malformed" });
  });
});
