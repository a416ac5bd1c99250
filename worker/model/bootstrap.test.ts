import { afterEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database } from "bun:sqlite";
import type { AuthOptions } from "./collections/auth-options.ts";
import { authTemplates } from "./collections/auth-templates.ts";
import { bootstrap } from "./bootstrap.ts";
import { modelOf } from "./model.ts";
import { openTestTenant, type TestTenant } from "./testing.ts";
import { MIGRATIONS } from "./upgrade.ts";

const open: TestTenant[] = [];
afterEach(async () => {
  for (const tenant of open.splice(0)) await tenant.close();
});
async function opened(from?: string): Promise<TestTenant> {
  const tenant = await openTestTenant(from);
  open.push(tenant);
  return tenant;
}
const rows = (tenant: TestTenant, sql: string): unknown[] =>
  tenant.data.read(tenant.observe(), (db) => db.values(sql).flat());

function usersOptions(tenant: TestTenant): AuthOptions {
  const users = modelOf(tenant).schema.find("users");
  if (users === undefined) throw new Error("Cannot find users");
  return users.options as AuthOptions;
}

test("an empty data.db becomes a new PocketBase's", async () => {
  const tenant = await opened();
  await bootstrap(tenant);
  const { schema } = modelOf(tenant);
  expect(schema.collections.map(({ id, name, type, system }) => [id, name, type, system])).toEqual([
    ["pbc_2279338944", "_mfas", "base", true],
    ["pbc_1638494021", "_otps", "base", true],
    ["pbc_2281828961", "_externalAuths", "base", true],
    ["pbc_4275539003", "_authOrigins", "base", true],
    ["pbc_3142635823", "_superusers", "auth", true],
    ["_pb_users_auth_", "users", "auth", false],
  ]);
  expect(schema.find("users")).toMatchObject({ listRule: "id = @request.auth.id", createRule: "" });
  expect(schema.find("users")?.fields.map(({ name }) => name)).toEqual([
    "id",
    "password",
    "tokenKey",
    "email",
    "emailVisibility",
    "verified",
    "name",
    "avatar",
    "created",
    "updated",
  ]);
  expect(rows(tenant, "SELECT file FROM _migrations ORDER BY applied")).toEqual([...MIGRATIONS]);
  expect(rows(tenant, "SELECT typeof(value) FROM _params WHERE id = 'settings'")).toEqual(["blob"]);
});

test("secrets differ from tenant to tenant, and a second bootstrap changes nothing", async () => {
  const [one, two] = [await opened(), await opened()];
  await bootstrap(one);
  await bootstrap(two);
  const secret = (tenant: TestTenant): string => usersOptions(tenant).authToken.secret;
  expect(secret(one)).toMatch(/^[A-Za-z0-9]{50}$/);
  expect(secret(one)).not.toBe(secret(two));
  const before = rows(one, "SELECT * FROM _collections");
  await bootstrap(one);
  expect(rows(one, "SELECT * FROM _collections")).toEqual(before);
});

/** A data.db with `change` made to a new one. */
async function olderFile(
  change: (db: Database) => void,
): Promise<{ path: string; remove: () => Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), "older-"));
  const path = join(directory, "old.db");
  const tenant = await opened();
  await bootstrap(tenant);
  await Bun.write(path, tenant.image());
  const db = new Database(path);
  change(db);
  db.close();
  return { path, remove: () => rm(directory, { recursive: true }) };
}

test("data of 0.23 gets what later versions added", async () => {
  const oldAlert = authTemplates.authAlert.body
    .replace("location:</p>", "location.</p>")
    .replace("<p><em>{ALERT_INFO}</em></p>\n", "")
    .replace(/(<p><strong>.*<\/strong><\/p>)\n(<p>If this was you.*<\/p>)/, "$2\n$1");
  const file = await olderFile((db) => {
    db.run("DELETE FROM _migrations WHERE file > '1717233559'");
    db.run("ALTER TABLE _otps DROP COLUMN sentTo");
    db.run(
      "UPDATE _collections SET fields = (SELECT json_group_array(json(value)) FROM json_each(fields) WHERE value ->> 'name' != 'sentTo') WHERE name = '_otps'",
    );
    db.run(
      "UPDATE _collections SET options = json_set(options, '$.authAlert.emailTemplate.body', ?) WHERE name = 'users'",
      [oldAlert],
    );
    // As 0.23 inferred the field of `count(*)`.
    db.run("CREATE VIEW counted AS SELECT * FROM (select 'a' as id, count(*) as c from users)");
    db.run(
      `INSERT INTO _collections (id, type, name, fields, options) VALUES ('countedview', 'view', 'counted', ?, ?)`,
      [
        JSON.stringify([
          { type: "text", name: "id", id: "text3208210256", system: true, required: true, primaryKey: true },
          { type: "number", name: "c", id: "number112844655" },
        ]),
        JSON.stringify({ viewQuery: "select 'a' as id, count(*) as c from users" }),
      ],
    );
    db.run("UPDATE _collections SET updated = '2024-01-01 00:00:00.000Z'");
    db.run("CREATE INDEX made_by_hand ON users (name)");
    db.run("CREATE UNIQUE INDEX second_email ON users (email)");
  });
  const tenant = await opened(file.path);
  await bootstrap(tenant);
  const { schema } = modelOf(tenant);
  expect(schema.find("_otps")?.fields.find(({ name }) => name === "sentTo")).toMatchObject({
    hidden: true,
    system: true,
  });
  expect(rows(tenant, "SELECT name FROM pragma_table_info('_otps') WHERE name = 'sentTo'")).toEqual([
    "sentTo",
  ]);
  expect(usersOptions(tenant).authAlert.emailTemplate.body).toBe(authTemplates.authAlert.body);
  expect(schema.find("users")?.indexes).toContain("CREATE INDEX `made_by_hand` ON `users` (`name`)");
  expect(
    rows(tenant, "SELECT name FROM sqlite_schema WHERE name IN ('made_by_hand', 'second_email')"),
  ).toEqual(["made_by_hand"]);
  expect(schema.find("counted")?.fields.find(({ name }) => name === "c")?.["onlyInt"]).toBe(true);
  const unchanged = schema.collections.filter(({ updated }) => updated.startsWith("2024-01-01"));
  expect(unchanged.map(({ name }) => name)).toEqual([
    "_mfas",
    "_externalAuths",
    "_authOrigins",
    "_superusers",
  ]);
  expect(rows(tenant, "SELECT count(*) FROM _migrations")).toEqual([MIGRATIONS.length]);
  await file.remove();
});

test.each([
  ["of another program", "CREATE TABLE x (y)", "it has tables but no collections"],
  ["before 0.23", "CREATE TABLE _collections (id, schema)", "before 0.23"],
])("a database %s is refused", async (_, sql, reason) => {
  const directory = await mkdtemp(join(tmpdir(), "foreign-"));
  const db = new Database(join(directory, "data.db"));
  db.run(sql);
  db.close();
  const tenant = await opened(join(directory, "data.db"));
  expect(await bootstrap(tenant).catch((error: Error) => error.message)).toContain(reason);
  await rm(directory, { recursive: true });
});

test("a file of PocketBase 0.23.1 becomes what PocketBase 0.39 makes of it", async () => {
  const directory = await mkdtemp(join(tmpdir(), "older-"));
  const path = join(directory, "old.db");
  const packed = await Bun.file(join(import.meta.dir, "fixtures/pocketbase-0.23.1.db.gz")).bytes();
  await Bun.write(path, Bun.gunzipSync(packed));
  const tenant = await opened(path);
  await bootstrap(tenant);
  const { schema } = modelOf(tenant);
  expect(schema.find("posts")?.indexes).toEqual([
    "CREATE INDEX idx_title ON posts (title)",
    "CREATE UNIQUE INDEX idx_two ON posts (title, n) WHERE n > 0",
    "CREATE INDEX `manual_idx` ON `posts` (`n`)",
  ]);
  expect(
    rows(
      tenant,
      "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ('posts', 'members') ORDER BY name",
    ),
  ).toEqual([
    "idx_email_pbc_2620428958",
    "idx_nick",
    "idx_title",
    "idx_tokenKey_pbc_2620428958",
    "idx_two",
    "manual_idx",
  ]);
  expect(usersOptions(tenant).authAlert.emailTemplate.body).toBe(authTemplates.authAlert.body);
  expect(schema.find("_otps")?.fields.some(({ name }) => name === "sentTo")).toBe(true);
  expect(schema.find("counted")?.fields.find(({ name }) => name === "c")).toMatchObject({
    type: "number",
    onlyInt: true,
  });
  expect(rows(tenant, "SELECT title FROM posts ORDER BY title")).toEqual(["One", "Three", "Two"]);
  expect(rows(tenant, "SELECT file FROM _migrations ORDER BY file")).toEqual([...MIGRATIONS].toSorted());
  await rm(directory, { recursive: true });
});
