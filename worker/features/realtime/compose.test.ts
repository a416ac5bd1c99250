import { afterAll, beforeAll, expect, test } from "bun:test";
import { type TestApi, startTestApi } from "../../app-testing.ts";
import { upsertSuperuser } from "../../auth/superuser.ts";
import type { RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import { RealtimeClient } from "./client.ts";
import { composeFrom } from "./compose.ts";
import { subscribersAmong } from "./subscribers.ts";

let api: TestApi;
let users: RecordData[];
const CLIENTS = 20;

beforeAll(async () => {
  api = await startTestApi();
  const model = modelOf(api.tenant);
  await api.tenant.data.write(api.tenant.observe(), (tx) => {
    model.createCollection(tx, {
      ...{ name: "notes", type: "base", listRule: "open = true", viewRule: "@request.auth.id != ''" },
      fields: [{ name: "open", type: "bool" }],
    });
    tx.run("INSERT INTO notes (id, open) VALUES ('note00000000000', 1)");
    const collection = model.schema.find("users");
    if (collection === undefined) throw new Error("no users");
    users = Array.from({ length: CLIENTS }, (_, n) => {
      const id = `user${String(n).padStart(11, "0")}`;
      tx.run("INSERT INTO users (id, tokenKey, password) VALUES (?, ?, '')", [id, `key-${id}`]);
      return model.find(tx, collection, id) as RecordData;
    });
  });
});
afterAll(() => api.close());

/** @returns how many messages, and how many questions to the database it took */
function ask(topic: string, auths: readonly (RecordData | undefined)[]): { messages: number; asked: number } {
  const model = modelOf(api.tenant);
  const clients = auths.map((auth) => {
    const client = new RealtimeClient("127.0.0.1", 0, () => undefined);
    client.authenticate(auth);
    client.subscribe([topic]);
    return client;
  });
  return api.tenant.data.read(api.tenant.observe(), (db) => {
    const collection = model.schema.find("notes");
    const record = collection && model.find(db, collection, "note00000000000");
    if (collection === undefined || record === undefined) throw new Error("no note");
    let asked = 0;
    const counting: SqlReader = {
      ...{ all: db.all.bind(db), values: db.values.bind(db), raw: db.raw.bind(db) },
      get: (sql, params) => {
        asked += 1;
        return db.get(sql, params);
      },
    };
    const change = { action: "update" as const, collection, record, before: undefined };
    const told = composeFrom(
      api.tenant,
      counting,
      change,
      subscribersAmong(clients, collection, record.id),
      1,
    );
    for (const client of clients) client.close();
    return { messages: told.length, asked };
  });
}

test("a rule that does not look at who asks is asked once for all of them", () => {
  expect(ask("notes/*", [undefined, ...users])).toEqual({ messages: CLIENTS + 1, asked: 1 });
});

test("one that does is asked for each", () => {
  expect(ask("notes/note00000000000", [undefined, ...users])).toEqual({
    messages: CLIENTS,
    asked: CLIENTS + 1,
  });
});

test("so is a filter that does, and what is expanded may differ", () => {
  const options = (query: object): string =>
    `notes/*?options=${encodeURIComponent(JSON.stringify({ query }))}`;
  expect(ask(options({ filter: "@request.auth.id != ''" }), users).asked).toBeGreaterThanOrEqual(CLIENTS);
  expect(ask(options({ expand: "nothing" }), users).asked).toBe(CLIENTS);
});

test("fields that cannot be used are as good as none, and no other subscriber's trouble", () => {
  const bad = encodeURIComponent(JSON.stringify({ query: { fields: "open:bad(1)" } }));
  expect(ask(`notes/*?options=${bad}`, users).messages).toBe(CLIENTS);
});

test("a superuser is not one of the others", async () => {
  await upsertSuperuser(api.tenant, api.tenant.observe(), "other@example.com", "1234567890");
  const model = modelOf(api.tenant);
  const superusers = model.schema.find("_superusers");
  const record = api.tenant.data.read(api.tenant.observe(), (db) => {
    const [id] = db.values("SELECT id FROM _superusers LIMIT 1")[0] ?? [];
    return superusers && model.find(db, superusers, String(id));
  });
  expect(ask("notes/*", [record, ...users])).toEqual({ messages: CLIENTS + 1, asked: 1 });
});
