import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import PocketBase from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";

setDefaultTimeout(60_000);
const LOGINS = 100;
let api: TestApi;
let neighbour: TestApi;
beforeAll(async () => {
  [api, neighbour] = [await startTestApi(), await startTestApi()];
  const root = new PocketBase(neighbour.url);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({
    name: "notes",
    type: "base",
    listRule: "",
    createRule: "",
    fields: [{ name: "text", type: "text" }],
  });
});
afterAll(async () => {
  await api.close();
  await neighbour.close();
});

test("while a hundred sign in at once, others read and write", async () => {
  const body = JSON.stringify({ identity: SUPERUSER.email, password: SUPERUSER.password });
  let waiting = LOGINS;
  const logins = Array.from({ length: LOGINS }, async () => {
    const answer = await fetch(`${api.url}/api/collections/_superusers/auth-with-password`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    await answer.text();
    waiting--;
    return answer.status;
  });
  const records = `${neighbour.url}/api/collections/notes/records`;
  let reads = 0;
  let writes = 0;
  const read = async (): Promise<void> => {
    for (; waiting > 0; reads++) expect((await fetch(records)).status).toBe(200);
  };
  const write = async (): Promise<void> => {
    for (; waiting > 0; writes++) {
      const answer = await fetch(records, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: '{"text":"x"}',
      });
      expect(answer.status).toBe(200);
    }
  };
  await Promise.all([read(), write()]);
  expect(new Set(await Promise.all(logins))).toEqual(new Set([200]));
  // Hashes on all threads would hold up what is on its way to the store, and everybody who saw it, until the storm is over.
  expect(reads).toBeGreaterThan(3 * LOGINS);
  expect(writes).toBeGreaterThan(LOGINS / 4);
});
