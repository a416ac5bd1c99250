import { expect, test } from "bun:test";
import { parseFilter } from "../../../shared/filter/parse.ts";
import { field, openFixture } from "../../query/fixture.ts";
import { compileFilter } from "../../query/filter.ts";
import { ruleError } from "./rule-error.ts";

test.each([
  [
    "title = @collection.nope.id",
    'right operand "@collection.nope.id" - failed to load collection "nope" from field path "@collection.nope.id"',
  ],
  [
    "@collection.nope.id = title",
    'left operand "@collection.nope.id" - failed to load collection "nope" from field path "@collection.nope.id"',
  ],
  ["title = 1 && (views > 1 || 'x' = nothing)", 'right operand "nothing" - unknown field "nothing"'],
  ["author.name = lost.name", 'right operand "lost.name" - failed to load field "lost" collection'],
  ["nothing = nothing", 'left operand "nothing" - unknown field "nothing"'],
])("%s names the operand that cannot be resolved", (rule, expected) => {
  using fixture = new DisposableStack();
  const opened = fixture.adopt(openFixture(), (value) => value.close());
  let reason = "";
  try {
    const context = opened.context("posts", { kind: "rule" });
    const lost = field("lost", "relation", { collectionId: "gone" });
    const collection = { ...context.collection, fields: [...context.collection.fields, lost] };
    compileFilter(parseFilter(rule), { ...context, collection });
  } catch (error) {
    reason = ruleError(error, rule);
  }
  expect(reason).toBe(`invalid ${expected}`);
});
