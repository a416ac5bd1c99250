import { expect, test } from "bun:test";
import { parseKeyring } from "../../../shared/protocol/keys.ts";
import { base64Url } from "../../../shared/protocol/mac.ts";
import { type Greeting, greetingRequest, provesItself, readGreeting, signHello } from "./handshake.ts";

const keyring = (byte: number) =>
  parseKeyring(`member-1:${base64Url(new Uint8Array(32).fill(byte))}`, "test key");
const keys = keyring(1);
const stranger = keyring(2);
const greeting: Greeting = {
  ...{ clusterId: "c", from: "a", to: "b", instance: "ia", url: "http://a", nonce: "na" },
};
const NOW_MS = Date.UTC(2026, 0, 1);

test("a hello proves its sender only with the key, to this greeting, and as it was said", () => {
  const hello = signHello(greeting, "ib", "nb", keys);
  expect(provesItself(greeting, hello, keys)).toBe(true);
  expect(provesItself(greeting, signHello(greeting, "ib", "nb", stranger), keys)).toBe(false);
  expect(provesItself({ ...greeting, nonce: "other" }, hello, keys)).toBe(false);
  for (const change of [{ member: "x" }, { instance: "x" }, { nonce: "x" }, { mac: "" }, { keyId: "x" }]) {
    expect(provesItself(greeting, { ...hello, ...change }, keys)).toBe(false);
  }
});

test("a greeting is read only when a member signed it, just now", () => {
  const { path, headers } = greetingRequest(greeting, keys, NOW_MS);
  const request = new Request(`http://b${path}`, { headers });
  expect(readGreeting(request, keys, NOW_MS)).toEqual(greeting);
  expect(readGreeting(request, stranger, NOW_MS)).toBeUndefined();
  expect(readGreeting(request, keys, NOW_MS + 3_600_000)).toBeUndefined();
  expect(readGreeting(new Request(request.url.replace("from=a", "from=z"), { headers }), keys, NOW_MS)).toBe(
    undefined,
  );
});
