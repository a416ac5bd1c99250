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

test.each([
  ["validation_nil_or_not_empty_required", "Cannot be blank.", "cannot be blank"],
  ["validation_only_int_constraint", "Decimal numbers are not allowed.", "Decimal numbers are not allowed"],
  ["validation_max_number_constraint", "Must be less than 5.", "Must be less than 5"],
  ["validation_max_text_constraint", "Must be no more than 5 character(s).", undefined],
])("%s is told as its library tells it", (code, message, told) => {
  expect(plainObject({ code, message })).toBe(told ?? message);
});

test("errors as an object of messages", () => {
  expect(plainObject(errors)).toEqual({
    fields: { 1: { name: 'The value cannot contain "_via_".' } },
    listRule: "Invalid rule. Raw error: unknown",
    name: "cannot be blank",
  });
});
