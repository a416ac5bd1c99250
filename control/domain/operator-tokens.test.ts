import { expect, test } from "bun:test";
import { Domain, refusal } from "./domain-fixture.ts";
import {
  type AddToken,
  addFirstToken,
  addToken,
  createToken,
  revokeToken,
  tokenId,
} from "./operator-tokens.ts";

const sha = (letter: string): string => letter.repeat(64);
const token = (domain: Domain, letter: string): AddToken => {
  return { meta: domain.meta(), sha256: sha(letter), name: letter, scopes: ["read", "write"] };
};

test("of two last tokens that revoke one another at once, one stays", () => {
  const domain = new Domain();
  for (const letter of ["a", "b"]) domain.run(addToken(domain.table, token(domain, letter)));
  const both = ["a", "b"].map((letter) => revokeToken(domain.table, domain.meta(), tokenId(sha(letter))));
  domain.run(both[0]!);
  expect(() => domain.run(both[1]!)).toThrow("compare failed");
  expect(refusal(revokeToken(domain.table, domain.meta(), tokenId(sha("b"))))).toBe("conflict");
});

test("of two replicas that make a first token at once, one does", () => {
  const domain = new Domain();
  const both = ["a", "b"].map((letter) => addFirstToken(domain.table, token(domain, letter)));
  expect(domain.run(both[0]!)).toBe(true);
  expect(() => domain.run(both[1]!)).toThrow("compare failed");
  expect(domain.run(addFirstToken(domain.table, token(domain, "b")))).toBe(false);
});

test("a token makes none that may do more than it may itself", () => {
  const domain = new Domain();
  expect(refusal(createToken(domain.table, token(domain, "a"), ["read"]))).toBe("forbidden");
  expect(refusal(createToken(domain.table, token(domain, "a"), ["read", "write"]))).toBe("none");
});
