import { expect, test } from "bun:test";
import { textField, useTestModel } from "../../model/testing.ts";
import { findUnderRule } from "./rules.ts";
import { recordScope } from "./scope.ts";

const { model, inTx, named, createCollection, save } = useTestModel();

test("findUnderRule gives nobody what a locked or unusable rule holds", async () => {
  createCollection({ name: "posts", fields: [textField("title")] });
  const { id } = await save("posts", { title: "a" });
  const found = inTx((tx) => {
    const request = {
      context: "default",
      method: "GET",
      headers: {},
      query: {},
      body: {},
      auth: null,
    } as const;
    const scope = recordScope(tx, model(), request);
    const rules = ["", "title = 'a'", "title = 'b'", "gone = 1", "title =", null];
    return rules.map((rule) => findUnderRule(scope, named("posts"), id, rule)?.id);
  });
  expect(found).toEqual([id, id, undefined, undefined, undefined, undefined]);
});
