import { describe, expect, test } from "bun:test";
import { parseEpoch, parseIncarnation, parseTenantId } from "../ids.ts";
import { limits } from "../limits.ts";
import { signGrant, verifyGrant } from "./grant.ts";
import { parseKeyring } from "./keys.ts";
import { base64Url, equalText, fromBase64Url, mac } from "./mac.ts";
import { signCall, verifyCall } from "./signature.ts";
import { signTicket, verifyTicket } from "./ticket.ts";

const secret = (fill: number): string => base64Url(new Uint8Array(32).fill(fill));
const old = parseKeyring(`k1:${secret(1)}`, "test");
const both = parseKeyring(`k2:${secret(2)}, k1:${secret(1)}`, "test");
const foreign = parseKeyring(`k1:${secret(9)}`, "test");
const NOW = 1_800_000_000_000;
const tenant = parseTenantId("abcdefghij01234");
const grant = { tenant, epoch: parseEpoch(7), incarnation: parseIncarnation(65_537) };

/** Every text that differs from a valid one in a single character. */
function* mutations(text: string): Generator<string> {
  for (let i = 0; i < text.length; i++) {
    yield text.slice(0, i) + (text[i] === "0" ? "1" : "0") + text.slice(i + 1);
    yield text.slice(0, i) + text.slice(i + 1);
  }
}

describe("mac", () => {
  test("is HMAC-SHA256 (RFC 4231, test case 2, needs no length of key)", () => {
    const key = { id: "x", secret: new TextEncoder().encode("Jefe") };
    const expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    expect(Buffer.from(mac(key, "what do ya want for nothing?"), "base64url").toString("hex")).toBe(expected);
    expect(mac(key, "what do ya want for nothing?")).toBe(mac(key, "what do ya want for nothing?"));
  });

  test("equalText compares content and length", () => {
    expect(equalText("abc", "abc")).toBe(true);
    expect(equalText("abc", "abd")).toBe(false);
    expect(equalText("abc", "abcd")).toBe(false);
  });

  test("base64url goes both ways", () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    expect(fromBase64Url(base64Url(bytes))).toEqual(bytes);
    expect(fromBase64Url("%%%")).toBeUndefined();
  });
});

describe("a keyring", () => {
  test("signs with the first and verifies with all", () => {
    expect(both.signing.id).toBe("k2");
    expect([...both.byId.keys()]).toEqual(["k2", "k1"]);
  });

  test.each(["", "k1", `k1:${base64Url(new Uint8Array(31))}`, `K 1:${secret(1)}`, `:${secret(1)}`, "k1:%%%"])(
    "refuses %p",
    (text) => {
      expect(() => parseKeyring(text, "the key")).toThrow("Cannot read the key");
    },
  );
});

describe("a grant", () => {
  const signed = signGrant(old, grant, "POST", "/api/x?y=1", NOW);
  const verify = (header: string | null, nowMs = NOW, method = "POST", path = "/api/x?y=1", keys = old) =>
    verifyGrant(keys, header, method, path, nowMs);

  test("opens its request, and still does while keys are rotated", () => {
    expect(verify(signed)).toEqual(grant);
    expect(verify(signed, NOW, "POST", "/api/x?y=1", both)).toEqual(grant);
  });

  test("opens nothing else", () => {
    expect(verify(signed, NOW, "PUT")).toBe("forged");
    expect(verify(signed, NOW, "POST", "/api/x?y=2")).toBe("forged");
    expect(verify(signed, NOW, "POST", "/api/x?y=1", foreign)).toBe("forged");
    expect(verify(null)).toBe("missing");
    expect(verify("")).toBe("malformed");
    expect(verify(signed.replace("k1", "k9"))).toBe("unknown key");
    for (const changed of mutations(signed)) expect(verify(changed)).toBeString();
  });

  test("lives for its time, by a clock that may be a little off", () => {
    expect(verify(signed, NOW + limits.grantMs - 1)).toEqual(grant);
    expect(verify(signed, NOW + limits.grantMs)).toBe("expired");
    expect(verify(signed, NOW - limits.clockSkewMsMax)).toEqual(grant);
    expect(verify(signed, NOW - limits.clockSkewMsMax - 1)).toBe("expired");
  });
});

describe("a signed call", () => {
  const body = new TextEncoder().encode('{"a":1}');
  const signed = signCall(old, "POST", "/v1/workers", body, NOW);

  test("proves its key, method, path and body", () => {
    expect(verifyCall(both, signed, "POST", "/v1/workers", body, NOW)).toEqual({ keyId: "k1" });
    expect(verifyCall(old, signed, "GET", "/v1/workers", body, NOW)).toEqual({ problem: "forged" });
    expect(verifyCall(old, signed, "POST", "/v1/workers/1", body, NOW)).toEqual({ problem: "forged" });
    expect(verifyCall(old, signed, "POST", "/v1/workers", new Uint8Array(), NOW)).toEqual({
      problem: "forged",
    });
    expect(verifyCall(foreign, signed, "POST", "/v1/workers", body, NOW)).toEqual({ problem: "forged" });
    for (const changed of mutations(signed))
      expect(verifyCall(old, changed, "POST", "/v1/workers", body, NOW)).toHaveProperty("problem");
  });

  test("lives for the clock skew only", () => {
    const at = (nowMs: number) => verifyCall(old, signed, "POST", "/v1/workers", body, nowMs);
    expect(at(NOW + limits.clockSkewMsMax)).toEqual({ keyId: "k1" });
    expect(at(NOW + limits.clockSkewMsMax + 1)).toEqual({ problem: "expired" });
    expect(at(NOW - limits.clockSkewMsMax - 1)).toEqual({ problem: "expired" });
  });

  test("is no grant, and a grant is no call", () => {
    expect(verifyGrant(old, signed, "POST", "/v1/workers", NOW)).toBe("malformed");
    expect(
      verifyCall(old, signGrant(old, grant, "POST", "/", NOW), "POST", "/", new Uint8Array(), NOW),
    ).toEqual({ problem: "malformed" });
  });
});

describe("a ticket", () => {
  const ticket = { tenant, action: "import" as const, expiresMs: NOW + 60_000 };
  const signed = signTicket(old, ticket);

  test("opens one action on one tenant until it expires", () => {
    expect(verifyTicket(both, signed, NOW)).toEqual(ticket);
    expect(verifyTicket(old, signed, NOW + 60_000)).toBeUndefined();
    expect(verifyTicket(foreign, signed, NOW)).toBeUndefined();
    for (const changed of mutations(signed)) expect(verifyTicket(old, changed, NOW)).toBeUndefined();
  });
});
