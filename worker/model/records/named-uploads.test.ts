import { afterAll, beforeAll, expect, test } from "bun:test";
import PocketBase from "pocketbase";
import { storageKey } from "../../../shared/objects/layout.ts";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { namedUploads } from "./named-uploads.ts";

let api: TestApi;
let root: PocketBase;
beforeAll(async () => {
  api = await startTestApi();
  root = new PocketBase(api.url);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
});
afterAll(() => api.close());

test("namedUploads knows files of single and multiple fields and their thumbs, and nothing else", async () => {
  const { id: collection } = await root.collections.create({
    name: "docs",
    type: "base",
    fields: [
      { name: "one", type: "file", maxSelect: 1 },
      { name: "more", type: "file", maxSelect: 3 },
      { name: "text", type: "text" },
    ],
  });
  const file = (name: string): File => new File([name], name);
  const record = await root
    .collection("docs")
    .create({ one: file("a.txt"), more: [file("b.txt"), file("c.txt")], text: "lonely.txt" });
  const key = (name: string, at = record.id): string => storageKey(api.tenant.id, collection, at, name);
  const [one, more] = [String(record["one"]), record["more"] as string[]];
  const named = [one, ...more, `thumbs_${one}/10x10_${one}`].map((name) => key(name));
  const others = [
    key("other.txt"),
    key("lonely.txt"),
    key("thumbs_other.txt/10x10_other.txt"),
    key(one, "another_record0"),
    storageKey(api.tenant.id, "another_collection", record.id, one),
  ];
  expect([...namedUploads(api.tenant, [...others, ...named])].toSorted()).toEqual(named.toSorted());
  await root.collections.update("docs", { name: "renamed" });
  expect(namedUploads(api.tenant, named).size).toBe(4);
  await root.collection("renamed").update(record.id, { "more-": more[0] });
  expect(namedUploads(api.tenant, named).size).toBe(3);
  await root.collections.delete("renamed");
  expect(namedUploads(api.tenant, named).size).toBe(0);
});
