import { afterAll, beforeAll } from "bun:test";
import { ApiUnderTest, type Case, GENERIC, NOBODY, NOT_ALLOWED, NOT_FOUND, failure, table } from "./table.ts";

/** Accounts: signing in, tokens and what ends them, the auth form (pocketbase.md §5, §7, §8). */
let api: ApiUnderTest;
const PEOPLE = "/api/collections/people";
const PASSWORD = "a-good-password";

beforeAll(async () => {
  api = await ApiUnderTest.start();
  await api.made("POST /api/collections", {
    name: "people",
    type: "auth",
    listRule: "",
    viewRule: "",
    createRule: "",
    updateRule: "id = @request.auth.id",
    deleteRule: "id = @request.auth.id",
    fields: [{ name: "name", type: "text" }],
    authAlert: { enabled: false },
  });
  for (const name of ["ann", "bob"]) {
    const email = `${name}@example.com`;
    const account = { id: `${name}000000000000`, email, name, password: PASSWORD, passwordConfirm: PASSWORD };
    await api.made(`POST ${PEOPLE}/records`, account);
    await api.signIn(name, "people", email, PASSWORD);
  }
});
afterAll(() => api.close());

const FAILED = failure(400, "Failed to authenticate.");
const code = (name: string): { code: string } => ({ code: `validation_${name}` });
const signIn = (json: unknown, status: number, body: NonNullable<Case["body"]>): Case => ({
  ask: `POST ${PEOPLE}/auth-with-password`,
  json,
  status,
  body,
});
const update = (as: string, json: unknown, status: number, body?: NonNullable<Case["body"]>): Case => ({
  ask: `PATCH ${PEOPLE}/records/ann000000000000`,
  as,
  json,
  status,
  ...(body === undefined ? {} : { body }),
});
const RECORD =
  /^\{"record":\{"collectionId":"[^"]+","collectionName":"people","email":"ann@example.com","emailVisibility":false,"id":"ann000000000000","name":"ann","verified":false\},"token":"[\w-]+\.[\w-]+\.[\w-]+"\}\n$/;

table(
  () => api,
  [
    {
      ask: `GET ${PEOPLE}/auth-methods`,
      status: 200,
      body: {
        password: { identityFields: ["email"], enabled: true },
        oauth2: { providers: [], enabled: false },
        mfa: { enabled: false, duration: 0 },
        otp: { enabled: false, duration: 0 },
      },
    },
    signIn({}, 400, { data: { identity: code("required"), password: code("required") } }),
    signIn({ identity: "ann@example.com", password: "wrong" }, 400, FAILED),
    signIn({ identity: "nobody@example.com", password: PASSWORD }, 400, FAILED),
    signIn({ identity: "ann@example.com", password: PASSWORD }, 200, RECORD),
    { ask: "POST /api/collections/nothing/auth-with-password", json: {}, status: 404 },
    { ask: `POST ${PEOPLE}/auth-refresh`, status: 401, body: NOBODY },
    { ask: `POST ${PEOPLE}/auth-refresh`, as: "ann", status: 200, body: RECORD },
    { ask: `POST ${PEOPLE}/auth-refresh`, as: "root", status: 403 },
    {
      ask: `POST ${PEOPLE}/impersonate/ann000000000000`,
      as: "ann",
      json: {},
      status: 403,
      body: NOT_ALLOWED,
    },
    { ask: `POST ${PEOPLE}/impersonate/ann000000000000`, as: "root", json: {}, status: 200, body: RECORD },
    { ask: `POST ${PEOPLE}/impersonate/nobody`, as: "root", json: {}, status: 404, body: NOT_FOUND },
    { ask: `GET ${PEOPLE}/records/bob000000000000`, as: "ann", status: 200, body: /^(?!.*"email")/ },
    {
      ask: `GET ${PEOPLE}/records/bob000000000000`,
      as: "bob",
      status: 200,
      body: { email: "bob@example.com" },
    },
    { ask: `GET ${PEOPLE}/records?filter=email~'bob'`, as: "ann", status: 200, body: { totalItems: 0 } },
    { ask: `GET ${PEOPLE}/records?filter=password!=''`, as: "ann", status: 400, body: GENERIC },
    update("bob", { name: "x" }, 404, NOT_FOUND),
    update("ann", { email: "x@example.com" }, 400, { data: { email: code("values_mismatch") } }),
    update("ann", { verified: true }, 400, { data: { verified: code("values_mismatch") } }),
    update("ann", { password: "another-password" }, 400, {
      data: { passwordConfirm: code("required"), oldPassword: code("required") },
    }),
    update(
      "ann",
      { password: "another-password", passwordConfirm: "another-password", oldPassword: "no" },
      400,
      {
        data: { oldPassword: code("invalid_old_password") },
      },
    ),
    update("root", { email: "bob@example.com" }, 400, { data: { email: code("not_unique") } }),
    update("root", { tokenKey: "short" }, 400, { data: { tokenKey: code("min_text_constraint") } }),
    {
      ask: `POST ${PEOPLE}/records`,
      json: { email: "no mail", password: "short", passwordConfirm: "other" },
      status: 400,
      body: { data: { passwordConfirm: code("values_mismatch") } },
    },
    {
      ask: `POST ${PEOPLE}/records`,
      json: { email: "c@example.com", password: PASSWORD, passwordConfirm: PASSWORD, verified: true },
      status: 400,
      body: { data: { verified: code("values_mismatch") } },
    },
    update(
      "ann",
      { password: "another-password", passwordConfirm: "another-password", oldPassword: PASSWORD },
      200,
    ),
    { ask: `POST ${PEOPLE}/auth-refresh`, as: "ann", status: 401, body: NOBODY },
    signIn({ identity: "ann@example.com", password: PASSWORD }, 400, FAILED),
    signIn({ identity: "ann@example.com", password: "another-password" }, 200, RECORD),
    { ask: "POST /api/files/token", status: 401, body: NOBODY },
    { ask: "POST /api/files/token", as: "bob", status: 200, body: /^\{"token":"[\w.-]+"\}\n$/ },
    { ask: `DELETE ${PEOPLE}/records/bob000000000000`, as: "bob", status: 204, body: "" },
    { ask: `POST ${PEOPLE}/auth-refresh`, as: "bob", status: 401, body: NOBODY },
    {
      ask: "GET /api/collections/_superusers/records?fields=email",
      as: "root",
      status: 200,
      body: { totalItems: 1 },
    },
  ],
);
