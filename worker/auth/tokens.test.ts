import { expect, test } from "bun:test";
import type { Collection, Schema } from "../../shared/schema/collection.ts";
import type { RecordData } from "../model/contract.ts";
import { readClaims } from "./jwt.ts";
import { findTokenOwner, newAuthToken, newFileToken, newStaticAuthToken } from "./tokens.ts";

const collection = {
  id: "pbc_users",
  name: "users",
  type: "auth",
  options: {
    authToken: { secret: "s".repeat(50), duration: 100 },
    fileToken: { secret: "f".repeat(50), duration: 10 },
  },
} as unknown as Collection;
const record: RecordData = { collection, id: "u1", values: { tokenKey: "k".repeat(50), email: "a@b.c" } };
const schema: Schema = {
  collections: [collection],
  find: (id) => (id === collection.id ? collection : undefined),
};
const nowMs = 1_800_000_000_000;
const owner = (token: string, kinds: Parameters<typeof findTokenOwner>[1], stored = record, at = nowMs) =>
  findTokenOwner(token, kinds, schema, (_, id) => (id === stored.id ? stored : undefined), at)?.record;

test("newAuthToken carries PocketBase's claims and leads back to its record", () => {
  const token = newAuthToken(record, nowMs);
  expect(readClaims(token)).toEqual({
    collectionId: "pbc_users",
    exp: 1_800_000_100,
    id: "u1",
    refreshable: true,
    type: "auth",
  });
  expect(owner(token, ["auth"])).toBe(record);
  expect(owner(token, ["auth"], record, nowMs + 100_000)).toBeUndefined();
});

test("findTokenOwner refuses a token of another kind, a new token key and a collection without secret", () => {
  const file = newFileToken(record, nowMs);
  expect(owner(file, ["file"])).toBe(record);
  expect(owner(file, ["auth"])).toBeUndefined();
  expect(owner(file, ["file"], { ...record, values: { tokenKey: "other" } })).toBeUndefined();
  expect(owner(file, ["file"], { ...record, values: { tokenKey: "" } })).toBeUndefined();
  const bare = { ...record, collection: { ...collection, options: {} } };
  expect(owner(file, ["file"], bare)).toBeUndefined();
  expect(() => newAuthToken(bare)).toThrow("has no key");
});

test("newStaticAuthToken cannot be refreshed and lives as long as asked", () => {
  expect(readClaims(newStaticAuthToken(record, 7, nowMs))).toMatchObject({
    refreshable: false,
    exp: 1_800_000_007,
  });
  expect(readClaims(newStaticAuthToken(record, undefined, nowMs))).toMatchObject({ exp: 1_800_000_100 });
});
