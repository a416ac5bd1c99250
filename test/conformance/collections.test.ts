import { afterAll, beforeAll } from "bun:test";
import { ApiUnderTest, type Case, NOBODY, failure, table } from "./table.ts";

/** Collections: what is refused and in which words, merges, views, import (pocketbase.md §3, §4). */
let api: ApiUnderTest;
beforeAll(async () => {
  api = await ApiUnderTest.start();
  await api.made("POST /api/collections", {
    name: "notes",
    type: "base",
    listRule: "",
    fields: [
      { id: "text0000000001", name: "title", type: "text", min: 2 },
      { name: "stars", type: "number" },
    ],
  });
});
afterAll(() => api.close());

const INVALID = "Failed to create collection.";
const created = (json: unknown, data: Record<string, unknown>): Case => ({
  ask: "POST /api/collections",
  as: "root",
  json,
  status: 400,
  body: { message: INVALID, data },
});
const field = (option: Record<string, unknown>, data: Record<string, unknown>): Case =>
  created({ name: "fresh", fields: [{ name: "a", ...option }] }, { fields: { 1: data } });
const code = (name: string): { code: string } => ({ code: `validation_${name}` });
const ruleRefused = (listRule: string, why: string): Case => ({
  ask: "PATCH /api/collections/notes",
  as: "root",
  json: { listRule },
  status: 400,
  body: failure(400, "Failed to update collection.", {
    listRule: { code: "validation_invalid_rule", message: `Invalid rule. Raw error: ${why}.` },
  }),
});
const UNFORMATTED = failure(400, "Failed to load the collection type data due to invalid formatting.");

table(
  () => api,
  [
    { ask: "GET /api/collections", status: 401, body: NOBODY },
    {
      ask: "POST /api/collections",
      as: "root",
      raw: { type: "application/json", body: "{" },
      status: 400,
      body: UNFORMATTED,
    },
    { ask: "POST /api/collections", as: "root", json: { name: 1 }, status: 400, body: UNFORMATTED },
    created({}, { name: code("required") }),
    created({ name: "a b" }, { name: code("match_invalid") }),
    created({ name: "NOTES" }, { name: code("collection_name_exists") }),
    created({ name: "a_via_b" }, { name: code("found_via") }),
    created({ name: "_params" }, { name: code("collection_name_invalid") }),
    field({ type: "text", min: -1 }, { min: code("min_greater_equal_than_required") }),
    field(
      { type: "text", pattern: "[bad" },
      {
        pattern: {
          code: "validation_invalid_regex",
          message: "Error parsing regexp: missing closing ]: `[bad`.",
        },
      },
    ),
    field({ type: "text", help: "h".repeat(301) }, { help: code("length_out_of_range") }),
    field(
      { type: "number", min: 5, max: 3 },
      {
        max: {
          code: "validation_min_number_constraint",
          message: "Must be greater or equal than 5.",
          params: { min: 5 },
        },
      },
    ),
    field({ type: "select" }, { values: code("required") }),
    field(
      { type: "relation", collectionId: "nothing" },
      { collectionId: code("field_relation_missing_collection") },
    ),
    field({ type: "autodate" }, { onCreate: code("required") }),
    field({ type: "password", max: 72 }, { max: code("max_less_equal_than_required") }),
    ruleRefused("nothing = 1", `invalid left operand "nothing" - unknown field "nothing"`),
    ruleRefused("1 = nothing", `invalid right operand "nothing" - unknown field "nothing"`),
    ruleRefused(
      "title.more = 1",
      `invalid left operand "title.more" - field "title" is not a valid relation`,
    ),
    ruleRefused(
      "@collection.no.id = 1",
      `invalid left operand "@collection.no.id" - failed to load collection "no" from field path "@collection.no.id"`,
    ),
    ruleRefused("title =", "invalid or incomplete filter expression"),
    ruleRefused(" ", "empty filter expression"),
    {
      ask: "PATCH /api/collections/notes",
      as: "root",
      json: { type: "auth" },
      status: 400,
      body: { data: { type: code("collection_type_change") } },
    },
    { ask: "PATCH /api/collections/nothing", as: "root", json: {}, status: 404 },
    {
      ask: "PATCH /api/collections/notes",
      as: "root",
      json: { indexes: ["create unique index idx_stars on other (stars)"] },
      status: 200,
      body: { listRule: "", indexes: ["CREATE UNIQUE INDEX `idx_stars` ON `notes` (`stars`)"] },
    },
    { ask: "GET /api/collections/WSMN", as: "root", status: 404 },

    // Views.
    created(
      { name: "v", type: "view", viewQuery: "select 1" },
      { fields: code("missing_primary_key"), viewQuery: code("invalid_view_query") },
    ),
    created(
      { name: "v", type: "view", viewQuery: "select * from notes" },
      {
        viewQuery: {
          message:
            "Invalid query - wildcard columns (*) are not supported - manually type the collection field names you want the view query to have.",
        },
      },
    ),
    created(
      { name: "v", type: "view", viewQuery: "select id from notes; drop table notes" },
      {
        viewQuery: { message: "Invalid query - multiple statements are not supported." },
      },
    ),
    created(
      { name: "v", type: "view", viewQuery: "select id, avg(stars) from notes" },
      {
        viewQuery: {
          message: `Invalid query - invalid field "avg(stars)" (1): name: must be in a valid format.`,
        },
      },
    ),
    {
      ask: "POST /api/collections",
      as: "root",
      json: {
        name: "v",
        type: "view",
        viewQuery:
          "select id, title, count(id) n, cast(stars as int) whole, cast(stars as real) part, (stars+1) sum from notes group by id",
      },
      status: 200,
      body: {
        fields: [
          { name: "id", type: "text", primaryKey: true },
          { name: "title", type: "text", min: 2 },
          { name: "n", type: "number", onlyInt: true },
          { name: "whole", type: "number", onlyInt: true },
          { name: "part", type: "number", onlyInt: false },
          { name: "sum", type: "json" },
        ],
      },
    },
    {
      ask: "POST /api/collections/v/records",
      as: "root",
      json: {},
      status: 400,
      body: failure(400, "Unsupported collection type."),
    },
    {
      ask: "POST /api/collections/meta/dry-run-view",
      as: "root",
      json: { query: "select 1" },
      status: 400,
      body: failure(
        400,
        "Invalid view query. Raw error: \nmissing required id column (you can use `(ROW_NUMBER() OVER()) as id` if you don't have one).",
      ),
    },
    { ask: "DELETE /api/collections/v/truncate", as: "root", status: 400 },

    // Import: a field without an id that is there already stays as it is.
    {
      ask: "PUT /api/collections/import",
      as: "root",
      json: { collections: [{ name: "notes", fields: [{ name: "title", type: "text", max: 5 }] }] },
      status: 204,
    },
    {
      ask: "GET /api/collections/notes",
      as: "root",
      status: 200,
      body: /"id":"text0000000001","max":0,"min":2,"name":"title"/,
    },
    {
      ask: "PUT /api/collections/import",
      as: "root",
      json: { collections: [{ name: "bad name" }] },
      status: 400,
      body: {
        message: "Failed to import collections.",
        data: { collections: code("collections_import_failure") },
      },
    },
    {
      ask: "DELETE /api/collections/_superusers",
      as: "root",
      status: 400,
      body: failure(400, "Failed to delete collection."),
    },
    { ask: "DELETE /api/collections/v", as: "root", status: 204 },
    { ask: "DELETE /api/collections/notes", as: "root", status: 204 },
    { ask: "GET /api/collections/notes", as: "root", status: 404 },
  ],
);
