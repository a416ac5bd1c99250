/** A small publishing house in a temporary database, with every kind of field and relation: for tests and the bench. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  isMultiple,
  type Collection,
  type Field,
  type FieldType,
  type Schema,
} from "../../shared/schema/collection.ts";
import type { Connection } from "../sqlite/connection.ts";
import { openWriter } from "../sqlite/open.ts";
import type { QueryContext, RequestInfo } from "./contract.ts";

export function field(name: string, type: FieldType, options: Record<string, unknown> = {}): Field {
  return { id: `${type}_${name}`, name, type, system: false, hidden: false, presentable: false, ...options };
}

function collection(name: string, fields: Field[], options: Partial<Collection> = {}): Collection {
  const rules = { listRule: "", viewRule: "", createRule: "", updateRule: "", deleteRule: "" };
  const stamps = { created: "", updated: "" };
  const id = `id_${name}`;
  const all = [field("id", "text"), ...fields];
  return {
    id,
    name,
    type: "base",
    system: false,
    fields: all,
    indexes: [],
    ...rules,
    ...stamps,
    options: {},
    ...options,
  };
}

function relation(name: string, target: string, maxSelect = 1): Field {
  return field(name, "relation", { collectionId: `id_${target}`, maxSelect });
}

const hidden = { hidden: true };

export const COLLECTIONS: readonly Collection[] = [
  collection("companies", [field("name", "text"), field("country", "text"), field("secret", "text", hidden)]),
  collection("groups", [field("name", "text"), field("level", "number")], { listRule: null }),
  collection(
    "users",
    [
      field("email", "email"),
      field("emailVisibility", "bool"),
      field("verified", "bool"),
      field("password", "password", hidden),
      field("name", "text"),
      field("role", "select", { values: ["admin", "writer"], maxSelect: 1 }),
      relation("company", "companies"),
      relation("groups", "groups", 9),
    ],
    { type: "auth" },
  ),
  collection("posts", [
    field("title", "text"),
    field("views", "number"),
    field("active", "bool"),
    field("kind", "select", { values: ["news", "essay"], maxSelect: 1 }),
    field("tags", "select", { values: ["red", "green", "blue"], maxSelect: 3 }),
    field("files", "file", { maxSelect: 3 }),
    field("meta", "json"),
    field("place", "geoPoint"),
    field("published", "date"),
    relation("author", "users"),
    relation("editors", "users", 9),
  ]),
  collection(
    "comments",
    [field("text", "text"), field("score", "number"), relation("post", "posts"), relation("by", "users")],
    { listRule: "score > 0", indexes: ["CREATE INDEX `idx_comments_post` ON `comments` (`post`)"] },
  ),
  collection("profiles", [field("bio", "text"), relation("user", "users")], {
    indexes: ["CREATE UNIQUE INDEX `idx_profiles_user` ON `profiles` (`user`)"],
  }),
  collection("summaries", [field("title", "text"), field("views", "number")], { type: "view" }),
];

/** Tables as PocketBase makes them: what is NOT NULL decides how SQLite runs DISTINCT. */
function table({ name, fields }: Collection): string {
  const columns = fields.map((column) => {
    if (column.name === "id") return "id TEXT PRIMARY KEY NOT NULL";
    if (isMultiple(column)) return `"${column.name}" JSON DEFAULT '[]' NOT NULL`;
    return `"${column.name}" ${COLUMN_TYPES[column.type] ?? "TEXT DEFAULT '' NOT NULL"}`;
  });
  return `CREATE TABLE "${name}" (${columns.join(", ")});`;
}

const COLUMN_TYPES: Partial<Record<FieldType, string>> = {
  number: "NUMERIC DEFAULT 0 NOT NULL",
  bool: "BOOLEAN DEFAULT FALSE NOT NULL",
  json: "JSON DEFAULT NULL",
  geoPoint: `JSON DEFAULT '{"lon":0,"lat":0}' NOT NULL`,
};

const SCHEMA_SQL = [
  ...COLLECTIONS.filter(({ type }) => type !== "view").map(table),
  ...COLLECTIONS.flatMap(({ indexes }) => indexes),
  "CREATE VIEW summaries AS SELECT id, title, views FROM posts WHERE active = TRUE",
].join(";\n");

const ROWS_SQL = `
  INSERT INTO companies VALUES ('acme', 'Acme', 'NO', 'gold'), ('bolt', 'Bolt', 'SE', '');
  INSERT INTO groups VALUES ('g1', 'first', 1), ('g2', 'second', 2);
  INSERT INTO users VALUES
    ('ann', 'ann@a.no', 1, 1, 'x', 'Ann', 'admin', 'acme', '["g1","g2"]'),
    ('bob', 'bob@b.se', 0, 0, 'x', 'Bob', 'writer', 'bolt', '["g1"]'),
    ('cat', 'cat@c.se', 0, 1, 'x', 'Cat', '', '', '[]');
  INSERT INTO posts VALUES
    ('p1', 'Alpha 10%', 10, 1, 'news', '["red","green"]', '["a.png"]', '{"a":{"b":"x"},"n":1,"list":[5,6]}',
      '{"lon":10.75,"lat":59.91}', '2024-01-15 08:00:00.000Z', 'ann', '["ann","bob"]'),
    ('p2', 'beta_it''s', 0, 0, 'essay', '["red"]', '[]', '"plain"', '{"lon":18.07,"lat":59.33}',
      '2023-06-30 23:59:59.999Z', 'bob', '["bob"]'),
    ('p3', '', 5, 1, '', '[]', '[]', NULL, '{"lon":0,"lat":0}', '', '', '[]'),
    ('p4', 'delta', 7, 1, 'news', '["blue"]', '["b.png","c.png"]', 'null', '{"lon":10.75,"lat":59.91}',
      '2024-02-29 12:00:00.000Z', 'cat', '["cat","ann"]');
  INSERT INTO comments VALUES ('c1', 'good', 3, 'p1', 'bob'), ('c2', 'bad', 0, 'p1', 'cat'), ('c3', 'good', 1, 'p2', 'ann');
  INSERT INTO profiles VALUES ('r1', 'writes', 'ann'), ('r2', '', 'bob'), ('r3', '7', 'cat');
`;

export function fixtureSchema(): Schema {
  const byName = new Map(
    COLLECTIONS.flatMap((found) => [[found.id, found] as const, [found.name, found] as const]),
  );
  return {
    collections: COLLECTIONS,
    find: (idOrName) => byName.get(idOrName) ?? byName.get(idOrName.toLowerCase()),
  };
}

export const GUEST: RequestInfo = {
  context: "default",
  method: "GET",
  headers: {},
  query: {},
  body: {},
  auth: null,
};

export interface Fixture {
  readonly schema: Schema;
  readonly db: Connection;
  /** The signed-in user of that id. */
  auth(id: string): RequestInfo["auth"];
  context(
    name: string,
    overrides?: Partial<Omit<QueryContext, "request">> & { request?: Partial<RequestInfo> },
  ): QueryContext;
  close(): void;
}

export function openFixture(rows: string = ROWS_SQL): Fixture {
  const directory = mkdtempSync(join(tmpdir(), "query-"));
  const db = openWriter(join(directory, "data.db"));
  db.exec(SCHEMA_SQL);
  db.exec(rows);
  const schema = fixtureSchema();
  const named = (name: string): Collection => {
    const found = schema.find(name);
    if (found === undefined) throw new Error(`no collection ${name}`);
    return found;
  };
  return {
    schema,
    db,
    auth: (id) => ({
      collection: named("users"),
      record: db.get("SELECT * FROM users WHERE id = ?", [id]) ?? {},
    }),
    context: (name, { request, ...overrides } = {}) => ({
      schema,
      collection: named(name),
      allowHidden: true,
      kind: "client",
      now: () => new Date("2024-02-29T13:14:15.500Z"),
      ...overrides,
      request: { ...GUEST, ...request },
    }),
    close() {
      db.close();
      rmSync(directory, { recursive: true });
    },
  };
}
