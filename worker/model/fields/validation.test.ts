import { fromPlainText } from "./json-text.ts";
import { expect, test } from "bun:test";
import type { Collection, Field } from "../../../shared/schema/collection.ts";
import { newCollection } from "../collections/defaults.ts";
import { makeSchema } from "../collections/schema.ts";
import type { FieldError } from "../contract.ts";
import type { ValueContext } from "./field-type.ts";
import { readField, validateField } from "./options.ts";
import { typeOf } from "./registry.ts";

const collection: Collection = newCollection("base", "things");

function contextOf(extra: Partial<ValueContext> = {}): ValueContext {
  return {
    collection,
    schema: makeSchema([collection]),
    isNew: true,
    id: "x",
    before: undefined,
    uploads: new Map(),
    password: undefined,
    db: undefined,
    ...extra,
  };
}

const field = (type: string, options: Record<string, unknown> = {}): Field =>
  readField({ type, name: "f", ...options });

/** type, options, canonical value, code, message (undefined: valid) */
test.each<[string, Record<string, unknown>, unknown, string | undefined, string?]>([
  ["text", { required: true }, "", "validation_required", "Cannot be blank."],
  ["text", { min: 3 }, "añ", "validation_min_text_constraint", "Must be at least 3 character(s)."],
  ["text", { max: 2 }, "日本", undefined],
  ["text", { max: 2 }, "日本語", "validation_max_text_constraint", "Must be no more than 2 character(s)."],
  ["text", {}, "x".repeat(5001), "validation_max_text_constraint", "Must be no more than 5000 character(s)."],
  ["text", { pattern: "^a+$" }, "ab", "validation_invalid_format", "Invalid value format."],
  [
    "text",
    { primaryKey: true, pattern: "^.+$" },
    "a/b",
    "validation_forbidden_pk_character",
    "'/' is not a valid primary key character.",
  ],
  [
    "text",
    { primaryKey: true, pattern: "^.+$" },
    "Nul",
    "validation_reserved_pk",
    "The primary key 'NUL' is reserved and cannot be used.",
  ],
  ["number", { required: true }, 0, "validation_required"],
  [
    "number",
    {},
    Number.POSITIVE_INFINITY,
    "validation_not_a_number",
    "The submitted number is not properly formatted.",
  ],
  ["number", { onlyInt: true }, 1.5, "validation_only_int_constraint", "Decimal numbers are not allowed."],
  ["number", { min: 2 }, 1, "validation_min_number_constraint", "Must be greater or equal than 2."],
  ["number", { max: 2.5 }, 3, "validation_max_number_constraint", "Must be less or equal than 2.5."],
  ["number", { min: 2 }, 0, undefined],
  ["number", { onlyInt: true, max: 10 }, 1e21, "validation_only_int_constraint"],
  ["bool", { required: true }, false, "validation_required"],
  ["email", {}, "nobody", "validation_is_email", "Must be a valid email address."],
  ["email", {}, "a@example.com", undefined],
  ["email", {}, "a@example.com.", undefined],
  ["email", {}, "a@example.c1", "validation_is_email"],
  ["email", {}, "😀@example.com", "validation_is_email"],
  ["email", {}, "日本@例え.テスト", undefined],
  ["email", {}, `a@${"b.".repeat(150)}!`, "validation_is_email"],
  [
    "email",
    { onlyDomains: ["b.org"] },
    "a@example.com",
    "validation_email_domain_not_allowed",
    "Email domain is not allowed.",
  ],
  ["email", { exceptDomains: ["example.com"] }, "a@example.com", "validation_email_domain_not_allowed"],
  ["url", {}, "http://a.b/%zz", "validation_invalid_url"],
  ["url", {}, "http://a.b/?a=%zz", undefined],
  ["select", { values: ["a"] }, "b. ", "validation_invalid_value", "Invalid value b."],
  ["json", {}, fromPlainText("a\u0007"), "validation_invalid_json", "Must be a valid json value."],
  ["url", {}, "not a url", "validation_invalid_url", "Must be a valid url."],
  ["url", {}, "https://example.copm", undefined],
  ["url", {}, "http://localhost:8090/a?b#c", undefined],
  ["url", {}, "abc", "validation_invalid_url"],
  [
    "url",
    { onlyDomains: ["a.com"] },
    "https://b.com/x",
    "validation_url_domain_not_allowed",
    "Url domain is not allowed.",
  ],
  ["editor", { maxSize: 3 }, "<p>", undefined],
  [
    "editor",
    { maxSize: 3 },
    "<p>a",
    "validation_content_size_limit",
    "The maximum allowed content size is 3 bytes.",
  ],
  ["date", { required: true }, "", "validation_required"],
  [
    "date",
    { min: "2020-01-01" },
    "2019-01-01 00:00:00.000Z",
    "validation_min_greater_equal_than_required",
    "Must be no less than 2020-01-01 00:00:00 +0000 UTC.",
  ],
  [
    "date",
    { max: "2020-01-01 10:00:00.120Z" },
    "2021-01-01 00:00:00.000Z",
    "validation_max_less_equal_than_required",
    "Must be no greater than 2020-01-01 10:00:00.12 +0000 UTC.",
  ],
  ["select", { values: ["a"], required: true }, "", "validation_required"],
  ["select", { values: ["a"] }, "b", "validation_invalid_value", "Invalid value b."],
  [
    "select",
    { values: ["a", "b", "c"], maxSelect: 2 },
    ["a", "b", "c"],
    "validation_too_many_values",
    "Select no more than 2.",
  ],
  ["relation", { collectionId: "nothing" }, "x", "validation_missing_rel_collection"],
  [
    "relation",
    { collectionId: collection.id, minSelect: 2, maxSelect: 3 },
    ["x"],
    "validation_not_enough_values",
    "Select at least 2.",
  ],
  [
    "relation",
    { collectionId: collection.id, maxSelect: 2 },
    ["x", "y", "z"],
    "validation_too_many_values",
    "Select no more than 2.",
  ],
  ["json", { required: true }, {}, "validation_required"],
  ["json", { required: true }, 0, undefined],
  ["json", { maxSize: 3 }, [1, 2], "validation_json_size_limit", "The maximum allowed JSON size is 3 bytes."],
  ["geoPoint", { required: true }, { lon: 0, lat: 0 }, "validation_required"],
  ["geoPoint", {}, { lon: -180, lat: -90 }, undefined],
  [
    "geoPoint",
    {},
    { lon: 0, lat: 91 },
    "validation_invalid_latitude",
    "Latitude must be between -90 and 90 degrees.",
  ],
  [
    "geoPoint",
    {},
    { lon: -181, lat: 1 },
    "validation_invalid_longitude",
    "Longitude must be between -180 and 180 degrees.",
  ],
  ["file", { required: true }, "", "validation_required"],
  ["file", {}, "new.txt", "validation_invalid_file", "Invalid new files: [new.txt]."],
])("%s %p refuses %p with %p", (type, options, value, code, ...[message]) => {
  const one = field(type, options);
  const error = typeOf(one).validate(one, value, contextOf()) as FieldError | undefined;
  expect(error?.code).toBe(code as string);
  if (message !== undefined) expect(error?.message).toBe(message);
});

test("date bounds tell the threshold as RFC 3339", () => {
  const one = field("date", { min: "2020-01-01" });
  expect(typeOf(one).validate(one, "2019-01-01 00:00:00.000Z", contextOf())).toMatchObject({
    params: { threshold: "2020-01-01T00:00:00Z" },
  });
});

test.each<[Record<string, unknown>, string, string | undefined, string?]>([
  [{ min: 8 }, "short", "validation_min_text_constraint", "Must be at least 8 character(s)."],
  [{}, "x".repeat(72), "validation_max_text_constraint", "Must be less than 71 character(s)."],
  [{}, "日".repeat(30), "validation_invalid_value", "Invalid value."],
  [{ pattern: "^\\d+$" }, "abc", "validation_invalid_format"],
  [{ required: true }, "", "validation_required"],
  [{ required: true, min: 8 }, "1234567890", undefined],
])("password %p with %p", (options, password, code, ...[message]) => {
  const one = field("password", options);
  const error = typeOf(one).validate(one, "", contextOf({ password })) as FieldError | undefined;
  expect(error?.code).toBe(code as string);
  if (message !== undefined) expect(error?.message).toBe(message);
});

test.each<[string, string, number, Record<string, unknown>, string | undefined]>([
  ["a.png", "image/png", 10, {}, undefined],
  ["a.png", "image/png", 10, { maxSize: 9 }, "validation_file_size_limit"],
  ["a.txt", "text/plain; charset=utf-8", 1, { mimeTypes: ["image/png"] }, "validation_invalid_mime_type"],
  ["a.txt", "text/plain; charset=utf-8", 1, { mimeTypes: ["text/plain"] }, undefined],
  ["a.jpg", "image/jpeg", 1, { mimeTypes: ["image/jpg"] }, undefined],
])("file upload %s %s %p bytes %p", (name, mime, size, options, code) => {
  const one = field("file", options);
  const uploads = new Map([[name, { field: "f", file: { name, mime, size, blob: new Blob() } }]]);
  const error = typeOf(one).validate(one, name, contextOf({ uploads })) as FieldError | undefined;
  expect(error?.code).toBe(code as string);
});

/** type, options, the errors by option */
test.each<[string, Record<string, unknown>, Record<string, string> | undefined]>([
  ["text", {}, undefined],
  ["text", { name: "" }, { name: "validation_required" }],
  ["text", { name: "a b" }, { name: "validation_match_invalid" }],
  ["text", { name: "expand" }, { name: "validation_not_in_invalid" }],
  ["text", { name: "a_via_b" }, { name: "validation_found_via" }],
  ["text", { min: -1 }, { min: "validation_min_greater_equal_than_required" }],
  ["text", { min: 5, max: 3 }, { max: "validation_min_greater_equal_than_required" }],
  ["text", { pattern: "(" }, { pattern: "validation_invalid_regex" }],
  [
    "text",
    { autogeneratePattern: "[a-z]{3}", min: 5 },
    { autogeneratePattern: "validation_invalid_autogenerate_pattern_value" },
  ],
  [
    "text",
    { primaryKey: true, required: true },
    { name: "validation_in_invalid", pattern: "validation_required" },
  ],
  ["number", { onlyInt: true, min: 1.5 }, { min: "validation_only_int_constraint" }],
  ["number", { min: 3, max: 2 }, { max: "validation_min_number_constraint" }],
  [
    "email",
    { onlyDomains: ["a.com"], exceptDomains: ["b.com"] },
    { onlyDomains: "validation_empty", exceptDomains: "validation_empty" },
  ],
  ["date", { min: "2022-01-01", max: "2021-01-01" }, undefined],
  ["autodate", {}, { onCreate: "validation_required", onUpdate: "validation_required" }],
  ["autodate", { onUpdate: true }, undefined],
  ["select", {}, { values: "validation_required" }],
  ["select", { values: ["a"], maxSelect: 2 }, { maxSelect: "validation_max_less_equal_than_required" }],
  ["relation", {}, { collectionId: "validation_required" }],
  ["relation", { collectionId: "missing" }, { collectionId: "validation_field_relation_missing_collection" }],
  ["password", { min: 72 }, { min: "validation_max_less_equal_than_required" }],
  ["password", { cost: 3 }, { cost: "validation_min_greater_equal_than_required" }],
])("options of %s %p", (type, options, expected) => {
  const one = { ...field(type, options), id: "id1" };
  const errors = validateField(one, { collection, before: undefined, schema: makeSchema([]) });
  const codes =
    errors && Object.fromEntries(Object.entries(errors).map(([key, error]) => [key, error["code"]]));
  expect(codes as Record<string, string> | undefined).toEqual(expected);
});

test("items of a list option are told by their index", () => {
  const context = { collection, before: undefined, schema: makeSchema([]) };
  expect(
    validateField({ ...field("email", { onlyDomains: ["a.com", "no domain"] }), id: "i" }, context),
  ).toMatchObject({
    onlyDomains: { 1: { code: "validation_is_domain" } },
  });
  expect(
    validateField({ ...field("file", { thumbs: ["0x0", "10x10f", "x"] }), id: "i" }, context),
  ).toMatchObject({
    thumbs: { 0: { code: "validation_not_in_invalid" }, 2: { code: "validation_match_invalid" } },
  });
});

test("a serialised field has its keys in alphabetical order and every option", () => {
  expect(Object.keys(field("text"))).toEqual([
    "autogeneratePattern",
    "help",
    "hidden",
    "id",
    "max",
    "min",
    "name",
    "pattern",
    "presentable",
    "primaryKey",
    "required",
    "system",
    "type",
  ]);
  expect(Object.keys(field("autodate"))).not.toContain("help");
});

test.each([
  [{ type: "nothing" }, "missing or unknown field type in"],
  [{ name: "x" }, "missing or unknown field type in"],
  [{ type: "text", max: "1" }, "Cannot read"],
  [{ type: "bool", required: 1 }, "Cannot read"],
])("readField refuses %p", (input, why) => {
  expect(() => readField(input)).toThrow(why);
});
