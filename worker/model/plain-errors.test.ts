import { expect, test } from "bun:test";
import { plainErrors, plainObject } from "./plain-errors.ts";

const errors = {
  name: { code: "validation_required", message: "Cannot be blank." },
  listRule: { code: "validation_invalid_rule", message: "Invalid rule. Raw error: unknown." },
  fields: { 1: { name: { code: "validation_found_via", message: 'The value cannot contain "_via_".' } } },
};

test("errors as a sentence, keys in order", () => {
  expect(plainErrors(errors)).toBe(
    'fields: (1: (name: The value cannot contain "_via_"..).); listRule: Invalid rule. Raw error: unknown; name: cannot be blank.',
  );
});

test("errors as an object of messages", () => {
  expect(plainObject(errors)).toEqual({
    fields: { 1: { name: 'The value cannot contain "_via_".' } },
    listRule: "Invalid rule. Raw error: unknown",
    name: "cannot be blank",
  });
});
