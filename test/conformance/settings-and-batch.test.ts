import { afterAll, beforeAll } from "bun:test";
import { ApiUnderTest, type Case, NOBODY, failure, table } from "./table.ts";

/** Settings and batches: what is refused and in which words (pocketbase.md §10, §12). */
let api: ApiUnderTest;
beforeAll(async () => {
  api = await ApiUnderTest.start();
  await api.made("POST /api/collections", {
    name: "notes",
    type: "base",
    createRule: "",
    fields: [{ name: "title", type: "text", required: true }],
    indexes: ["CREATE UNIQUE INDEX idx_notes_title ON notes (title)"],
  });
});
afterAll(() => api.close());

const SETTINGS = { ask: "PATCH /api/settings", as: "root" };
const refused = (json: unknown, data: Record<string, unknown>): Case => ({
  ...SETTINGS,
  json,
  status: 400,
  body: { message: "An error occurred while saving the new settings.", data },
});
const unreadable = (json: unknown): Case => ({
  ...SETTINGS,
  json,
  status: 400,
  body: failure(400, "An error occurred while loading the submitted data."),
});
const saved = (json: unknown): Case => ({ ...SETTINGS, json, status: 200 });
const code = (name: string): { code: string } => ({ code: `validation_${name}` });
const cron = (expression: string, message: string): Case =>
  refused(
    { backups: { cron: expression } },
    { backups: { cron: { code: "validation_invalid_cron", message } } },
  );
const rule = (label: string, audience = ""): Record<string, unknown> => ({
  label,
  audience,
  duration: 1,
  maxRequests: 1,
});

table(
  () => api,
  [
    { ask: "GET /api/settings", status: 401, body: NOBODY },
    unreadable({ smtp: { port: "25" } }),
    unreadable({ smtp: { port: 1.5 } }),
    unreadable({ meta: { hideControls: 1 } }),
    unreadable({ meta: 1 }),
    unreadable({ superuserIPs: "10.0.0.1" }),
    unreadable({ rateLimits: { rules: [{ label: 1 }] } }),
    saved({ meta: null, nothing: { a: 1 } }),
    refused({ meta: { accentColor: "red" } }, { meta: { accentColor: code("length_invalid") } }),
    refused({ meta: { accentColor: "#zzzzzz" } }, { meta: { accentColor: code("is_hex_color") } }),
    refused({ meta: { appURL: "localhost" } }, { meta: { appURL: code("is_url") } }),
    refused({ meta: { appURL: "/path" } }, { meta: { appURL: code("is_url") } }),
    saved({ meta: { appURL: "http://localhost", accentColor: "#00ff00" } }),
    refused({ superuserIPs: ["10.0.0.0/40"] }, { superuserIPs: { 0: code("invlaid_ip_or_subnet") } }),
    refused(
      { rateLimits: { excludedIPs: ["", "x"] } },
      { rateLimits: { excludedIPs: { 0: code("required"), 1: code("invlaid_ip_or_subnet") } } },
    ),
    refused(
      { rateLimits: { rules: [rule("/a"), rule("/a", "@guest")] } },
      { rateLimits: { rules: { 1: { label: code("conflicting_rate_limit_rule") } } } },
    ),
    saved({
      rateLimits: { rules: [rule("/a", "@auth"), rule("/a", "@guest"), rule("notes:list"), rule("GET /b/")] },
    }),
    refused(
      { rateLimits: { rules: [rule("/a b")] } },
      { rateLimits: { rules: { 0: { label: code("match_invalid") } } } },
    ),
    {
      ...SETTINGS,
      json: { rateLimits: { rules: [{ maxRequests: 5, duration: 2, label: "/c" }] } },
      status: 200,
      // What the rule in that place was before shows through, as in Go.
      body: /"rules":\[\{"label":"\/c","audience":"@auth","duration":2,"maxRequests":5\}\]/,
    },
    cron(
      "often",
      "Invalid cron expression - must be a valid macro or to have exactly 5 space separated segments.",
    ),
    cron("60 * * * *", "Invalid segment value - must be between the min and max of the segment."),
    cron("*/0 * * * *", "Invalid segment step boundary - the step must be between 1 and the 59."),
    cron("5-1 * * * *", "Invalid segment range maximum - must be between 5 and 59."),
    cron(
      "1/2 * * * *",
      "Invalid segment step - step > 1 could be used only with the wildcard or range format.",
    ),
    cron("x * * * *", `Strconv.Atoi: parsing "x": invalid syntax.`),
    saved({ backups: { cron: "*/2,3 * 1-5 * *" } }),
    saved({ backups: { cron: "" } }),
    {
      ask: "POST /api/settings/test/s3",
      as: "root",
      json: {},
      status: 400,
      body: { data: { filesystem: code("required") } },
    },
    {
      ask: "POST /api/settings/test/s3",
      as: "root",
      json: { filesystem: "backups" },
      status: 400,
      body: failure(
        400,
        "Failed to test the S3 filesystem. Raw error: \nS3 storage filesystem is not enabled.",
      ),
    },

    { ask: "POST /api/batch", json: { requests: [] }, status: 403 },
    saved({ batch: { enabled: true, maxRequests: 3 } }),
    {
      ask: "POST /api/batch",
      json: { requests: [] },
      status: 400,
      body: { message: "Invalid batch request data.", data: { requests: code("required") } },
    },
    {
      ask: "POST /api/batch",
      json: { requests: [{}] },
      status: 400,
      body: { data: { requests: { 0: { method: code("required"), url: code("required") } } } },
    },
    {
      ask: "POST /api/batch",
      json: { requests: [{ method: "post", url: "/x" }] },
      status: 400,
      body: { data: { requests: { 0: { method: code("in_invalid") } } } },
    },
    {
      ask: "POST /api/batch",
      json: { requests: [{}, {}, {}, {}] },
      status: 400,
      body: { data: { requests: code("length_too_long") } },
    },
    {
      ask: "POST /api/batch",
      json: { requests: "x" },
      status: 400,
      body: failure(400, "Failed to read the submitted batch data."),
    },
    {
      ask: "POST /api/batch",
      json: {
        requests: [
          { method: "POST", url: "/api/collections/notes/records", body: { title: "a" } },
          { method: "POST", url: "/api/collections/notes/records", body: { title: "a" } },
        ],
      },
      status: 400,
      body: failure(400, "Batch transaction failed.", {
        requests: {
          1: {
            code: "batch_request_failed",
            message: "Batch request failed.",
            response: {
              data: { title: { code: "validation_not_unique", message: "Value must be unique." } },
              message: "Failed to create record.",
              status: 400,
            },
          },
        },
      }),
    },
    {
      ask: "POST /api/batch",
      as: "root",
      json: {
        requests: [
          {
            method: "PUT",
            url: "/api/collections/notes/records?fields=title",
            body: { id: "note00000000001", title: "a" },
          },
          {
            method: "PUT",
            url: "/api/collections/notes/records?fields=title",
            body: { id: "note00000000001", title: "b" },
          },
          { method: "DELETE", url: "/api/collections/notes/records/note00000000001" },
        ],
      },
      status: 200,
      body: `[{"body":{"title":"a"},"status":200},{"body":{"title":"b"},"status":200},{"body":null,"status":204}]\n`,
    },
    { ask: "GET /api/collections/notes/records", as: "root", status: 200, body: { totalItems: 0 } },
    { ask: "POST /api/realtime", json: { clientId: 1 }, status: 400 },
    { ask: "POST /api/realtime", json: {}, status: 400, body: { data: { clientId: code("required") } } },
    {
      ask: "POST /api/realtime",
      json: { clientId: "nobody", subscriptions: [] },
      status: 404,
      body: failure(404, "Missing or invalid client id."),
    },
  ],
);
