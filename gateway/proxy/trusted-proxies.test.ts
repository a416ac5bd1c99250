import { describe, expect, test } from "bun:test";
import { clientBehind, parseTrustedProxies } from "./trusted-proxies.ts";

describe("parseTrustedProxies", () => {
  const trusted = parseTrustedProxies("127.0.0.1, 10.0.0.0/8,::1,2001:db8::/32,192.0.2.4/31", "x");
  test.each([
    ["127.0.0.1", true],
    ["::ffff:127.0.0.1", true],
    ["127.0.0.2", false],
    ["10.255.1.2", true],
    ["11.0.0.1", false],
    ["::1", true],
    ["::2", false],
    ["2001:db8:1:2:3:4:5:6", true],
    ["2001:db9::", false],
    ["192.0.2.5", true],
    ["192.0.2.6", false],
    ["", false],
    ["unix", false],
    ["10.0.0.1.2", false],
    ["10.0.0.01", false],
    ["1::2::3", false],
  ])("%j: %p", (address, expected) => expect(trusted(address)).toBe(expected));

  test.each(["", "10.0.0.0/33", "10.0.0.0/x", "10.0.0.0/8/8", "::/129", "example.com", "10.0.0.1,"])(
    "refuses %j",
    (text) => expect(() => parseTrustedProxies(text, "--x")).toThrow("Cannot read --x"),
  );
});

describe("clientBehind", () => {
  const trusted = parseTrustedProxies("10.0.0.0/8", "x");
  const of = (address: string, headers: Record<string, string>) => {
    const { address: found, protocol } = clientBehind(trusted, new Headers(headers), {
      address,
      protocol: "http",
    });
    return [found, protocol];
  };
  test.each([
    [
      "a stranger's headers count nothing",
      "192.0.2.1",
      { "x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "https" },
      "192.0.2.1",
      "http",
    ],
    [
      "the proxy's client",
      "10.0.0.1",
      { "x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https" },
      "192.0.2.7",
      "https",
    ],
    [
      "what the client wrote before it",
      "10.0.0.1",
      { "x-forwarded-for": "1.1.1.1, 192.0.2.7" },
      "192.0.2.7",
      "http",
    ],
    [
      "a chain of proxies",
      "10.0.0.1",
      { "x-forwarded-for": "1.1.1.1, 192.0.2.7, 10.0.0.2" },
      "192.0.2.7",
      "http",
    ],
    ["only proxies", "10.0.0.1", { "x-forwarded-for": "10.0.0.9,10.0.0.2" }, "10.0.0.9", "http"],
    ["no address", "10.0.0.1", { "x-forwarded-for": "192.0.2.7, unknown" }, "10.0.0.1", "http"],
    ["no header", "10.0.0.1", {}, "10.0.0.1", "http"],
    ["no protocol", "10.0.0.1", { "x-forwarded-proto": "gopher" }, "10.0.0.1", "http"],
  ] as const)("%s", (_, address, headers, found, protocol) =>
    expect(of(address, headers)).toEqual([found, protocol]),
  );
});
