import { afterAll, beforeAll } from "bun:test";
import { ApiUnderTest, type Case, GENERIC, LOCKED, NOT_FOUND, failure, table } from "./table.ts";

/** Records: binding of values, validation, rules, paging and deletes (pocketbase.md §4, §6, §7). */
let api: ApiUnderTest;
const RECORDS = "/api/collections/things/records";
const ONE = `${RECORDS}/thing0000000001`;

beforeAll(async () => {
  api = await ApiUnderTest.start();
  const { id: tagsId } = await api.made("POST /api/collections", {
    name: "tags",
    type: "base",
    listRule: "",
    viewRule: "",
    deleteRule: "",
    fields: [{ name: "label", type: "text", required: true }],
    indexes: ["CREATE UNIQUE INDEX idx_tags_label ON tags (label COLLATE NOCASE)"],
  });
  for (const label of ["red", "green", "blue"])
    await api.made("POST /api/collections/tags/records", { id: label.padEnd(15, "0"), label });
  const open = { listRule: "", viewRule: "", createRule: "", updateRule: "", deleteRule: "" };
  await api.made("POST /api/collections", {
    name: "things",
    type: "base",
    ...open,
    fields: [
      { name: "text", type: "text", max: 10 },
      { name: "number", type: "number", min: -100, max: 1e9 },
      { name: "flag", type: "bool" },
      { name: "mail", type: "email" },
      { name: "link", type: "url" },
      { name: "moment", type: "date" },
      { name: "one", type: "select", values: ["a", "b"] },
      { name: "many", type: "select", values: ["a", "b", "c"], maxSelect: 3 },
      { name: "data", type: "json" },
      { name: "place", type: "geoPoint" },
      { name: "tag", type: "relation", collectionId: tagsId, maxSelect: 1 },
      { name: "tags", type: "relation", collectionId: tagsId, maxSelect: 3 },
      { name: "files", type: "file", maxSelect: 3 },
      { name: "secret", type: "text", hidden: true },
    ],
  });
  await api.made("POST /api/collections", {
    name: "locked",
    type: "base",
    fields: [{ name: "must", type: "relation", collectionId: tagsId, maxSelect: 1, required: true }],
  });
  await api.made("POST /api/collections", {
    name: "ruled",
    type: "base",
    listRule: "owner = @request.query.owner",
    viewRule: "owner = @request.query.owner",
    createRule: "owner != '' && @request.body.owner:isset = true",
    updateRule: "owner = @request.query.owner",
    deleteRule: "owner = @request.query.owner",
    fields: [{ name: "owner", type: "text" }],
  });
  const ruled = await api.made<{ id: string }>("GET /api/collections/ruled");
  await api.made("POST /api/collections", {
    name: "owned",
    type: "base",
    listRule: "",
    fields: [{ name: "ruled", type: "relation", collectionId: ruled.id, maxSelect: 1 }],
  });
  await api.made(`POST ${RECORDS}`, { id: "thing0000000001", text: "first", secret: "s" });
  await api.made("POST /api/collections/locked/records", { id: "lock00000000001", must: "blue00000000000" });
  await api.made("POST /api/collections/ruled/records", { id: "ruled0000000001", owner: "me" });
  await api.made("POST /api/collections/owned/records", { id: "owned0000000001" });
  await api.made("POST /api/collections/owned/records", { id: "owned0000000002", ruled: "ruled0000000001" });
});
afterAll(() => api.close());

const patched = (json: unknown, body: Record<string, unknown>): Case => ({
  ask: `PATCH ${ONE}`,
  json,
  status: 200,
  body,
});
const refused = (json: unknown, field: string, code: string): Case => ({
  ask: `PATCH ${ONE}`,
  json,
  status: 400,
  body: { message: "Failed to update record.", data: { [field]: { code } } },
});
const UNIQUE = { code: "validation_not_unique", message: "Value must be unique." };

table(
  () => api,
  [
    patched({ number: "12" }, { number: 12 }),
    patched({ number: "0x10" }, { number: 0 }),
    patched({ number: "1e999" }, { number: 0 }),
    patched({ number: true }, { number: 1 }),
    patched({ number: "many" }, { number: 0 }),
    patched({ number: 5, "number+": 2.5 }, { number: 7.5 }),
    patched({ "number-": "0.5" }, { number: 7 }),
    refused({ number: "NaN" }, "number", "validation_not_a_number"),
    refused({ number: -101 }, "number", "validation_min_number_constraint"),
    refused({ number: 1e10 }, "number", "validation_max_number_constraint"),
    patched({ flag: "true" }, { flag: true }),
    patched({ flag: "yes" }, { flag: false }),
    patched({ text: 12 }, { text: "12" }),
    patched({ text: "😀😀😀😀😀😀😀😀😀😀" }, { text: "😀😀😀😀😀😀😀😀😀😀" }),
    refused({ text: "12345678901" }, "text", "validation_max_text_constraint"),
    refused({ mail: "nobody" }, "mail", "validation_is_email"),
    refused({ link: "no link" }, "link", "validation_invalid_url"),
    patched({ moment: "2020-01-02" }, { moment: "2020-01-02 00:00:00.000Z" }),
    patched({ moment: "2020-01-02T03:04:05+02:00" }, { moment: "2020-01-02 01:04:05.000Z" }),
    patched({ moment: "2020-01-02 03:04:05 +0100 CET" }, { moment: "2020-01-02 02:04:05.000Z" }),
    patched({ moment: "2020-01-02 03:04:05 UTC" }, { moment: "" }),
    patched({ moment: "0001-01-01" }, { moment: "" }),
    patched({ moment: "2020-02-30" }, { moment: "" }),
    patched({ one: ["a", "b"] }, { one: "b" }),
    refused({ one: "z" }, "one", "validation_invalid_value"),
    patched({ many: ["a", "b", "a"] }, { many: ["a", "b"] }),
    patched({ "many+": "c" }, { many: ["a", "b", "c"] }),
    patched({ "many-": ["a"] }, { many: ["b", "c"] }),
    patched({ "+many": "a" }, { many: ["a", "b", "c"] }),
    patched({ data: '{"b":1,"a":[true]}' }, { data: { a: [true], b: 1 } }),
    patched({ data: "plain" }, { data: "plain" }),
    patched({ data: "[1,2]" }, { data: [1, 2] }),
    patched({ place: { lon: 1.5, lat: -2 } }, { place: { lon: 1.5, lat: -2 } }),
    refused({ place: { lon: 181, lat: 0 } }, "place", "validation_invalid_longitude"),
    patched({ tag: "red000000000000" }, { tag: "red000000000000" }),
    refused({ tag: "missing00000000" }, "tag", "validation_missing_rel_records"),
    patched(
      { tags: ["red000000000000", "green0000000000"] },
      { tags: ["red000000000000", "green0000000000"] },
    ),
    refused({ id: "other0000000000" }, "id", "validation_pk_change"),
    refused({ files: ["stranger.txt"] }, "files", "validation_invalid_file"),
    patched({ secret: "new" }, { text: "😀😀😀😀😀😀😀😀😀😀" }),
    { ask: `GET ${ONE}?fields=secret`, as: "root", status: 200, body: `{"secret":"s"}\n` },
    { ask: `GET ${RECORDS}?filter=secret='s'`, status: 400, body: GENERIC },
    { ask: `GET ${RECORDS}?filter=%20`, status: 400, body: GENERIC },

    // Uploads: names are made anew; what adds to a list comes after what replaces it.
    {
      ask: `PATCH ${ONE}`,
      form: [
        ["+files", new File(["a"], "First One.TXT")],
        ["files", new File(["b"], "x.tar.gz")],
      ],
      status: 200,
      body: /"files":\["first_one_[a-z0-9]{10}\.TXT","x[a-z0-9]{10}_[a-z0-9]{10}\.tar\.gz"\]/,
    },
    { ask: `PATCH ${ONE}`, form: [["files", ""]], status: 200, body: { files: [] } },

    // Ids and uniqueness.
    {
      ask: `POST ${RECORDS}`,
      json: { id: "thing0000000001" },
      status: 400,
      body: { data: { id: { code: "validation_not_unique" } } },
    },
    {
      ask: `POST ${RECORDS}`,
      json: { id: "THING0000000002" },
      status: 400,
      body: { data: { id: { code: "validation_invalid_format" } } },
    },
    {
      ask: `POST ${RECORDS}`,
      json: { id: "short" },
      status: 400,
      body: { data: { id: { code: "validation_min_text_constraint" } } },
    },
    {
      ask: "POST /api/collections/tags/records",
      as: "root",
      json: { label: "RED" },
      status: 400,
      body: failure(400, "Failed to create record.", { label: UNIQUE }),
    },
    {
      ask: "POST /api/collections/tags/records",
      as: "root",
      json: {},
      status: 400,
      body: failure(400, "Failed to create record.", {
        label: { code: "validation_required", message: "Cannot be blank." },
      }),
    },

    // Rules.
    { ask: "GET /api/collections/locked/records", status: 403, body: LOCKED },
    { ask: "GET /api/collections/locked/records/lock00000000001", status: 403, body: LOCKED },
    { ask: "POST /api/collections/locked/records", json: {}, status: 403, body: LOCKED },
    { ask: "PATCH /api/collections/locked/records/nothing", json: {}, status: 403, body: LOCKED },
    { ask: "DELETE /api/collections/locked/records/nothing", status: 403, body: LOCKED },
    { ask: "GET /api/collections/ruled/records", status: 200, body: { items: [], totalItems: 0 } },
    { ask: "GET /api/collections/ruled/records?owner=me", status: 200, body: { totalItems: 1 } },
    { ask: "GET /api/collections/ruled/records/ruled0000000001", status: 404, body: NOT_FOUND },
    { ask: "PATCH /api/collections/ruled/records/ruled0000000001", json: {}, status: 404, body: NOT_FOUND },
    { ask: "DELETE /api/collections/ruled/records/ruled0000000001", status: 404, body: NOT_FOUND },
    {
      ask: "POST /api/collections/ruled/records",
      json: {},
      status: 400,
      body: failure(400, "Failed to create record."),
    },
    { ask: "POST /api/collections/ruled/records", json: { owner: "x" }, status: 200, body: { owner: "x" } },
    { ask: `GET ${RECORDS}?filter=@request.auth.id=''`, status: 403 },
    { ask: `GET ${RECORDS}?filter=locked_via_must.id=''`, status: 400, body: GENERIC },

    // A relation in a client's filter or sort is held to its collection's list rule; no related row is no breach of it.
    {
      ask: "GET /api/collections/owned/records?filter=ruled.owner!='nobody'",
      status: 200,
      body: { totalItems: 1, items: [{ id: "owned0000000001" }] },
    },
    {
      ask: "GET /api/collections/owned/records?filter=ruled.owner!='nobody'%26%26id!=''&owner=me",
      status: 200,
      body: { totalItems: 2 },
    },
    {
      ask: "GET /api/collections/owned/records?filter=ruled.owner='me'",
      status: 200,
      body: { totalItems: 0 },
    },
    { ask: "GET /api/collections/owned/records?sort=ruled.owner", status: 200, body: { totalItems: 1 } },
    {
      ask: "GET /api/collections/owned/records?sort=-ruled.owner&owner=me&fields=id",
      status: 200,
      body: { items: [{ id: "owned0000000002" }, { id: "owned0000000001" }] },
    },

    // Pages.
    {
      ask: "GET /api/collections/tags/records?perPage=2&sort=label",
      status: 200,
      body: { page: 1, perPage: 2, totalItems: 3, totalPages: 2 },
    },
    {
      ask: "GET /api/collections/tags/records?perPage=2&page=9",
      status: 200,
      body: { items: [], page: 9, totalPages: 2 },
    },
    {
      ask: "GET /api/collections/tags/records?page=-1&perPage=0",
      status: 200,
      body: { page: 1, perPage: 30 },
    },
    { ask: "GET /api/collections/tags/records?perPage=1001", status: 200, body: { perPage: 1000 } },
    { ask: "GET /api/collections/tags/records?perPage=abc", status: 400, body: GENERIC },
    {
      ask: "GET /api/collections/tags/records?skipTotal=1",
      status: 200,
      body: { totalItems: -1, totalPages: -1 },
    },
    { ask: "GET /api/collections/tags/records?skipTotal=maybe", status: 400, body: GENERIC },
    { ask: "GET /api/collections/tags/records?sort=nothing", status: 400, body: GENERIC },

    // Expand, back relations, hidden targets.
    {
      ask: `GET ${ONE}?expand=tag,tags&fields=expand.tags.label,expand.tag.id`,
      status: 200,
      body: `{"expand":{"tag":{"id":"red000000000000"},"tags":[{"label":"red"},{"label":"green"}]}}\n`,
    },
    {
      ask: "GET /api/collections/tags/records/red000000000000?expand=things_via_tag&fields=expand.things_via_tag.id",
      status: 200,
      body: `{"expand":{"things_via_tag":[{"id":"thing0000000001"}]}}\n`,
    },
    {
      ask: "GET /api/collections/tags/records/blue00000000000?expand=locked_via_must,nothing",
      status: 200,
      body: /^(?!.*expand)/,
    },

    // Deletes.
    {
      ask: "DELETE /api/collections/tags/records/blue00000000000",
      status: 400,
      body: failure(
        400,
        "Failed to delete record. Make sure that the record is not part of a required relation reference.",
      ),
    },
    { ask: "DELETE /api/collections/tags/records/red000000000000", status: 204, body: "" },
    { ask: `GET ${ONE}?fields=tag,tags`, status: 200, body: `{"tag":"","tags":["green0000000000"]}\n` },
    { ask: "DELETE /api/collections/tags/records/red000000000000", status: 404, body: NOT_FOUND },
  ],
);
