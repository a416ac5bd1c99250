import { expect, test } from "bun:test";
import { nextEntryHash as portable } from "../../shared/log/entry-hash.ts";
import { nextEntryHash, sha256, sha256Text } from "./hash.ts";

test("nextEntryHash is the shared one", () => {
  const body = crypto.getRandomValues(new Uint8Array(1_000));
  const first = nextEntryHash("", body);
  expect(first).toBe(portable("", body));
  expect(nextEntryHash(first, body)).toBe(portable(first, body));
  expect(sha256Text(body)).toBe(first);
  expect(Buffer.from(sha256(body)).toString("base64url")).toBe(first);
});
