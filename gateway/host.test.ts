import { describe, expect, test } from "bun:test";
import { limits } from "../shared/limits.ts";
import { Hosts, pathAndQueryOf, pathOf, readHost } from "./host.ts";

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

test("Hosts reads as readHost does, the first time and the next, and forgets what is too much", () => {
  const hosts = new Hosts("example.com");
  for (const header of [
    "acme.example.com",
    "admin.example.com",
    "other.org",
    "a b",
    "x".repeat(1_000),
    null,
  ]) {
    const read = hosts.read(header);
    expect(read).toEqual(readHost(header, "example.com"));
    expect(hosts.read(header)).toEqual(read);
  }
  const first = hosts.read("acme.example.com");
  expect(hosts.read("acme.example.com")).toBe(first);
  for (let i = 0; i <= limits.hostsReadMax; i++) hosts.read(`h${i}.example.com`);
  expect(hosts.read("acme.example.com")).not.toBe(first);
  expect(hosts.read("acme.example.com")).toEqual(first);
});

describe("pathOf", () => {
  test.each([
    ["/", "/", ""],
    ["/a/b?c=d&e", "/a/b", "?c=d&e"],
    ["/a?", "/a", ""],
    ["//evil.example/x", "//evil.example/x", ""],
    ["/a/../b", "/b", ""],
    ["//a/./b", "//a/b", ""],
    ["/a/%2e%2E/b", "/b", ""],
    ["/a\\b", "/a/b", ""],
    ["/%41?q=%2e", "/%41", "?q=%2e"],
    ["/é?ü", "/%C3%A9", "?%C3%BC"],
    ["/a?b=/../c", "/a", "?b=/../c"],
    ["/a b", "/a%20b", ""],
  ])("of %p is the URL's, with and without an origin", (target, pathname, search) => {
    const expected = { pathname, search };
    expect(pathOf({ url: target })).toMatchObject(expected);
    expect(pathOf({ url: `http://acme.example.com:80${target}` })).toMatchObject(expected);
    expect(pathAndQueryOf({ url: target })).toBe(pathname + search);
    expect(pathAndQueryOf({ url: `http://acme.example.com:80${target}` })).toBe(pathname + search);
    const { pathname: one, search: two } = new URL(`http://acme.example.com${target}`);
    expect({ pathname: one, search: two }).toEqual(expected);
  });
});
