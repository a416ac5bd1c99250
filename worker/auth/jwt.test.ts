import { describe, expect, test } from "bun:test";
import { readClaims, signToken, verifyToken } from "./jwt.ts";

const key = "secret-of-record-and-collection";
const nowMs = Date.UTC(2026, 0, 1);
const claims = { type: "auth", id: "abc", exp: nowMs / 1000 + 60, refreshable: true };

const base64url = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString("base64url");

/** The same token made with another implementation of HMAC. */
async function independentToken(header: string, payload: string): Promise<string> {
  const signed = `${base64url(header)}.${base64url(payload)}`;
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", new TextEncoder().encode(key), hmac, false, ["sign"]);
  return `${signed}.${base64url(new Uint8Array(await crypto.subtle.sign("HMAC", imported, new TextEncoder().encode(signed))))}`;
}

const accepts = (token: string, withKey = key, at = nowMs): boolean => {
  const read = readClaims(token);
  return read !== undefined && verifyToken(token, read, withKey, at);
};

test("signToken writes the header of golang-jwt and claims in the order of their names", async () => {
  const expected = await independentToken(
    `{"alg":"HS256","typ":"JWT"}`,
    `{"exp":${claims.exp},"id":"abc","refreshable":true,"type":"auth"}`,
  );
  expect(signToken(claims, key)).toBe(expected);
  expect(accepts(expected)).toBe(true);
});

describe("verifyToken", () => {
  const good = signToken(claims, key);
  const [header = "", payload = "", signature = ""] = good.split(".");
  const unsigned = `${base64url(`{"alg":"none","typ":"JWT"}`)}.${payload}.`;
  const table: [string, string, boolean][] = [
    ["one issued in the future", signToken({ ...claims, iat: nowMs / 1000 + 1 }, key), false],
    ["one issued just now", signToken({ ...claims, iat: nowMs / 1000 }, key), true],
    ["one issued beyond all time", signToken({ ...claims, iat: 1e30, nbf: 1e30 }, key), true],
    ["one whose expiry is 0", signToken({ ...claims, exp: 0 }, key), true],
    ["one that expires beyond all time", signToken({ ...claims, exp: 1e30 }, key), false],
    ["the token itself", good, true],
    ["another payload", `${header}.${base64url(`{"id":"other"}`)}.${signature}`, false],
    ["a cut signature", good.slice(0, -1), false],
    ["no signature", `${header}.${payload}.`, false],
    ["alg none", unsigned, false],
    ["four parts", `${good}.x`, false],
    ["no token", "nonsense", false],
    ["a payload that is no object", `${header}.${base64url("[1]")}.${signature}`, false],
  ];
  for (const [name, token, accepted] of table) {
    test(`${accepted ? "accepts" : "refuses"} ${name}`, () => expect(accepts(token)).toBe(accepted));
  }
  test("refuses another key, the second of expiry and a token from the future", () => {
    expect(accepts(good, `${key}x`)).toBe(false);
    expect(accepts(good, key, nowMs + 59_999)).toBe(true);
    expect(accepts(good, key, nowMs + 60_000)).toBe(false);
    expect(accepts(signToken({ ...claims, nbf: nowMs / 1000 + 1 }, key))).toBe(false);
    expect(accepts(signToken({ ...claims, exp: "soon" }, key))).toBe(false);
  });
  test("refuses HS384 and accepts another order of the header's keys", async () => {
    const text = Buffer.from(payload, "base64url").toString();
    expect(accepts(await independentToken(`{"typ":"JWT","alg":"HS256"}`, text))).toBe(true);
    expect(accepts(await independentToken(`{"typ":"JWT","alg":"HS384"}`, text))).toBe(false);
  });
});
