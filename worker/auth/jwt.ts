/** HS256 JSON Web Tokens, byte for byte as golang-jwt writes them. Synchronous: verifying is on every request's path. */
import { createHmac, timingSafeEqual } from "node:crypto";

export type Claims = Readonly<Record<string, unknown>>;

const HEADER = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString("base64url");

/** Claims are written in the order of their names, as Go writes maps. */
export function signToken(claims: Claims, key: string): string {
  const sorted: Record<string, unknown> = {};
  for (const name of Object.keys(claims).sort()) sorted[name] = claims[name];
  const signed = `${HEADER}.${Buffer.from(JSON.stringify(sorted)).toString("base64url")}`;
  return `${signed}.${hmac(signed, key)}`;
}

/** The claims of anything that has the form of a token: nothing in them is proven. */
export function readClaims(token: string): Claims | undefined {
  const first = token.indexOf(".");
  const second = token.indexOf(".", first + 1);
  if (first <= 0 || second < 0 || token.indexOf(".", second + 1) >= 0) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.slice(first + 1, second), "base64url").toString());
    return typeof claims === "object" && claims !== null && !Array.isArray(claims)
      ? (claims as Claims)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Whether `key` signed the token with HS256 and it is neither expired nor of the future. `claims` are the token's own. */
export function verifyToken(token: string, claims: Claims, key: string, nowMs: number): boolean {
  const dot = token.lastIndexOf(".");
  const signed = token.slice(0, dot);
  if (!signed.startsWith(`${HEADER}.`) && algorithmOf(signed) !== "HS256") return false;
  const expected = Buffer.from(hmac(signed, key));
  const given = Buffer.from(token.slice(dot + 1));
  if (expected.length !== given.length || !timingSafeEqual(expected, given)) return false;
  const { exp, nbf, iat } = claims;
  // 0 is none, as Go's libraries read it.
  if (exp !== undefined && exp !== 0 && (typeof exp !== "number" || isPast(exp, nowMs))) return false;
  return hasPassed(nbf, nowMs) && hasPassed(iat, nowMs);
}

function hasPassed(claim: unknown, nowMs: number): boolean {
  return claim === undefined || (typeof claim === "number" && isPast(claim, nowMs));
}

/** Seconds beyond 64 bits are long ago, as Go's conversion makes them. */
function isPast(seconds: number, nowMs: number): boolean {
  return seconds >= 2 ** 63 || seconds * 1000 <= nowMs;
}

function hmac(text: string, key: string): string {
  return createHmac("sha256", key).update(text).digest("base64url");
}

function algorithmOf(signed: string): unknown {
  try {
    const header: unknown = JSON.parse(
      Buffer.from(signed.slice(0, signed.indexOf(".")), "base64url").toString(),
    );
    return typeof header === "object" && header !== null && "alg" in header ? header.alg : undefined;
  } catch {
    return undefined;
  }
}
