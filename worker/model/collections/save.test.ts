import { expect, test } from "bun:test";
import { InvalidInput } from "../shape.ts";
import { useTestModel } from "../testing.ts";

const { model, inTx, createCollection, updateCollection, schemaSql } = useTestModel();

test("columns stand in the order of their names", () => {
  createCollection({ type: "auth", name: "members" });
  expect(schemaSql("members")).toMatch(/`email` .*`emailVisibility` /);
});

test("an id that is sent empty is made, and one that no collection has cannot be taken", () => {
  expect(createCollection({ id: "", name: "posts" }).id).toBe("pbc_1125843985");
  expect(() => updateCollection("posts", { id: "another" })).toThrow(
    "failed to retrieve old cached collection: sql: no rows in result set",
  );
});

test.each([
  [{ name: "x", fields: [{ type: "date", name: "d", min: 5 }] }],
  [{ name: "x", fields: [{ type: "text", name: "t", max: 1e300 }] }],
  [{ name: "x", viewQuery: 5 }],
  [{ name: "x", authRule: 5 }],
  [{ name: "x", created: 5 }],
])("%p is of a wrong form", (input) => {
  expect(() => createCollection(input)).toThrow(InvalidInput);
});

/** query, sample, reason */
test.each<[string, Record<string, unknown>[] | Error, string]>([
  ["select null as id", [{ id: null }], "the query could return records with empty or invalid ids."],
  ["select 1 as id", [{ id: 1 }, { id: 1 }], "the query could return records with non-unique ids."],
  ["select 1 as id", new Error("no"), "failed to retrieve query records: no."],
  ["select 1 as id, 2 as expand", [], 'invalid field "expand" (1): name: must not be in list.'],
])("a view of %p is refused", (viewQuery, sample, reason) => {
  const samples = new Map([[viewQuery, sample as never]]);
  const input = { name: "v", type: "view", viewQuery };
  let error: unknown;
  try {
    inTx((tx) => model().createCollection(tx, input, samples));
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject({ data: { viewQuery: { message: `Invalid query - ${reason}` } } });
});
