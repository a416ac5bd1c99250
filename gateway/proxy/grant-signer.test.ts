import { afterEach, expect, setSystemTime, test } from "bun:test";
import { type TenantId, parseEpoch, parseIncarnation } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { verifyGrant } from "../../shared/protocol/grant.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import { LiveKeyring, parseKeyring } from "../../shared/protocol/keys.ts";
import { GrantSigner, granted } from "./grant-signer.ts";

const OLD = parseKeyring(`g1:${"A".repeat(44)}`, "the key of this test");
const NEW = parseKeyring(`g2:${"B".repeat(44)}`, "the key of this test");
const of = (tenant: string) =>
  granted({ tenant: tenant.repeat(15) as TenantId, epoch: parseEpoch(3), incarnation: parseIncarnation(1) });

afterEach(() => void setSystemTime());

test("the same request has the same grant for a while; every other one its own", () => {
  let made = 0;
  const signer = new GrantSigner(OLD, () => `mac ${(made += 1)}`);
  const a = of("a");
  const first = signer.sign(a, "GET", "/x");
  expect(new TextDecoder().decode(first.line)).toBe(`${HEADERS.grant}: ${first.grant}\r\n`);
  expect(signer.sign(a, "GET", "/x")).toBe(first);
  const others = [
    signer.sign(a, "GET", "/y"),
    signer.sign(a, "HEAD", "/x"),
    signer.sign(of("b"), "GET", "/x"),
  ];
  expect(new Set([first, ...others]).size).toBe(4);
  // Also when others were signed in between.
  expect(signer.sign(a, "GET", "/x")).toBe(first);
  expect(made).toBe(4);
});

test("a grant is made anew long before it ends, and when the key has changed", () => {
  const keys = new LiveKeyring(OLD);
  const signer = new GrantSigner(keys);
  const a = of("a");
  const valid = (grant: string, ring: typeof OLD) =>
    typeof verifyGrant(ring, grant, "GET", "/x", Date.now()) === "object";
  setSystemTime(new Date(1_800_000_000_000));
  const first = signer.sign(a, "GET", "/x");
  setSystemTime(new Date(1_800_000_000_000 + limits.grantMs / 2));
  const later = signer.sign(a, "GET", "/x");
  expect(later).not.toBe(first);
  expect([valid(first.grant, OLD), valid(later.grant, OLD)]).toEqual([true, true]);
  keys.replace(NEW);
  const renewed = signer.sign(a, "GET", "/x");
  expect([valid(renewed.grant, OLD), valid(renewed.grant, NEW)]).toEqual([false, true]);
});
