import { expect, test } from "bun:test";
import type { Collection, Field } from "../../../shared/schema/collection.ts";
import { submittedBody } from "./submitted.ts";

const field = (name: string, type: Field["type"], hidden = false): Field => ({
  id: name,
  name,
  type,
  system: false,
  hidden,
  presentable: false,
});
const collection = {
  type: "auth",
  fields: [
    field("views", "number"),
    field("secret", "text", true),
    field("password", "password", true),
    field("docs", "file"),
  ],
} as unknown as Collection;
const pending = {
  collection,
  before: undefined,
  id: "r1",
  values: { views: 7, secret: "s", password: "hash", docs: ["a_1.txt"] },
  uploads: new Map(),
  passwords: new Map([["password", "plain"]]),
};
const see = (values: Record<string, unknown>, isSuperuser = false, files: string[] = []) =>
  submittedBody(collection, { values, files: new Map(files.map((key) => [key, []])) }, pending, isSuperuser);

test("submittedBody shows fields as they will be stored, under their own names", () => {
  expect(see({ views: "7" })).toEqual({ views: 7 });
  expect(see({ "views+": 2 })).toEqual({ views: 7 });
  expect(see({}, false, ["docs+"])).toEqual({ docs: ["a_1.txt"] });
});

test("submittedBody keeps unknown keys, drops hidden fields but the password, and lacks what was not sent", () => {
  expect(see({ other: [1], secret: "x", password: "plain" })).toEqual({ other: [1], password: "plain" });
  expect(see({ secret: "x" }, true)).toEqual({ secret: "s" });
});
