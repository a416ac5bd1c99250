import { afterAll, beforeAll } from "bun:test";
import { ApiUnderTest, GENERIC, NOBODY, NOT_FOUND, failure, table } from "./table.ts";

/** What every answer of the API has in common, and paths that lead nowhere (pocketbase.md §1, §2). */
let api: ApiUnderTest;
beforeAll(async () => {
  api = await ApiUnderTest.start();
  const fields = [{ name: "title", type: "text" }];
  const rules = { listRule: "", viewRule: "", createRule: "", updateRule: "" };
  await api.made("POST /api/collections", { name: "notes", type: "base", fields, ...rules });
  await api.made("POST /api/collections/notes/records", { id: "note00000000001", title: "<a> & \u2028b" });
});
afterAll(() => api.close());

const NO_FILE = failure(404, "File not found.");
const NOTES = "/api/collections/notes/records";
const RECORD = String.raw`{"collectionId":"pbc_\d+","collectionName":"notes","id":"note00000000001","title":"\\u003ca\\u003e \\u0026 \\u2028b"}`;

table(
  () => api,
  [
    { ask: "GET /api/health", status: 200, body: `{"message":"API is healthy.","code":200,"data":{}}\n` },
    {
      ask: "HEAD /api/health",
      status: 200,
      body: "",
      answers: {
        "content-type": "application/json",
        "x-xss-protection": "1; mode=block",
        "x-content-type-options": "nosniff",
        "x-frame-options": "SAMEORIGIN",
        vary: "Origin",
        "access-control-allow-origin": null,
      },
    },
    {
      ask: "GET /api/health",
      headers: { origin: "https://example.com" },
      status: 200,
      answers: { "access-control-allow-origin": "*" },
    },
    {
      ask: "OPTIONS /api/health",
      headers: { origin: "https://example.com", "access-control-request-headers": "x-a, x-b" },
      status: 204,
      answers: {
        "access-control-allow-methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
        "access-control-allow-headers": "x-a, x-b",
      },
    },
    { ask: "GET /api/nothing", status: 404, body: NO_FILE },
    { ask: "GET /api/health/", status: 404, body: NO_FILE },
    { ask: `GET ${NOTES}/`, status: 404, body: NO_FILE },
    { ask: "POST /api/health", status: 404, body: NOT_FOUND },
    { ask: "DELETE /api/health", status: 404, body: NOT_FOUND },
    { ask: `PUT ${NOTES}`, status: 404, body: NOT_FOUND },
    { ask: `PATCH ${NOTES}`, status: 404, body: NOT_FOUND },
    { ask: "GET /api//health?a=1", status: 307, answers: { location: "/api/health?a=1" } },
    {
      ask: "GET /api/collections/nothing/records",
      status: 404,
      body: failure(404, "Missing collection context."),
    },
    {
      ask: "POST /api/collections/nothing/records",
      json: {},
      status: 404,
      body: failure(404, "Missing or invalid collection context."),
    },
    { ask: `GET ${NOTES.replace("notes", "NOTES")}`, status: 200 },
    { ask: "GET /api/settings", status: 401, body: NOBODY },
    { ask: "GET /api/settings", headers: { authorization: "Bearer a.b.c" }, status: 401, body: NOBODY },
    { ask: `GET ${NOTES}/note00000000001`, status: 200, body: new RegExp(`^${RECORD}\\n$`) },
    {
      ask: `GET ${NOTES}`,
      status: 200,
      body: new RegExp(`^{"items":\\[${RECORD}\\],"page":1,"perPage":30,"totalItems":1,"totalPages":1}\\n$`),
    },
    {
      ask: `GET ${NOTES}?fields=title:excerpt(1,true)`,
      status: 200,
      body: { items: [{ title: "&..." }] },
    },
    { ask: `GET ${NOTES}?fields=title:shorten(3)`, status: 200, body: "" },
    { ask: `GET ${NOTES}?fields=title:excerpt(0)`, status: 200, body: "" },
    { ask: `POST ${NOTES}`, raw: { type: "application/json", body: "{bad" }, status: 400, body: GENERIC },
    { ask: `POST ${NOTES}`, raw: { type: "application/json", body: "[]" }, status: 400, body: GENERIC },
    {
      ask: `POST ${NOTES}`,
      raw: { type: "application/json", body: `{"title":1e400}` },
      status: 400,
      body: GENERIC,
    },
    {
      ask: `POST ${NOTES}`,
      raw: { type: "application/json", body: `{"title":"first }\\" "} and more` },
      status: 200,
      body: { title: `first }" ` },
    },
    {
      ask: `POST ${NOTES}`,
      raw: { type: "text/plain", body: "{}" },
      status: 400,
      body: failure(400, "Unsupported Content-Type."),
    },
    { ask: `POST ${NOTES}`, raw: { type: "application/xml", body: "<a/>" }, status: 400, body: GENERIC },
    {
      ask: `POST ${NOTES}`,
      raw: { type: "application/json", body: "null" },
      status: 200,
      body: { title: "" },
    },
    {
      ask: `POST ${NOTES}`,
      raw: { type: "application/x-www-form-urlencoded", body: "title=007" },
      status: 200,
      body: { title: "007" },
    },
    { ask: `POST ${NOTES}`, form: [["title", "1.50"]], status: 200, body: { title: "1.50" } },
    { ask: `POST ${NOTES}`, form: [["title", "1.5"]], status: 200, body: { title: "1.5" } },
    {
      ask: `POST ${NOTES}`,
      form: [
        ["@jsonPayload", `{"title":"payload"}`],
        ["title", "other"],
      ],
      status: 200,
      body: { title: "payload" },
    },
  ],
);
