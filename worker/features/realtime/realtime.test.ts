import { afterAll, beforeAll, expect, test } from "bun:test";
import PocketBase from "pocketbase";
import { SUPERUSER, type TestApi, slowPost, startTestApi } from "../../app-testing.ts";
import { limits } from "../../../shared/limits.ts";
import { RealtimeClient } from "./client.ts";
import { realtimeHub } from "./hub.ts";
import { parseTopic } from "./topic.ts";

let api: TestApi;
let root: PocketBase;

beforeAll(async () => {
  api = await startTestApi();
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({
    name: "rooms",
    type: "base",
    listRule: "@request.auth.id != '' && @request.auth.id = owner",
    viewRule: "@request.headers.x_key = 'open'",
    fields: [
      { name: "name", type: "text" },
      { name: "owner", type: "relation", collectionId: "_pb_users_auth_", maxSelect: 1 },
    ],
  });
});
afterAll(() => api.close());

interface Event {
  id: string;
  event: string;
  data: string;
}

/** A raw event stream, so that every byte is seen. */
async function connect() {
  const response = await fetch(`${api.url}/api/realtime`);
  const reader = response.body?.getReader();
  if (reader === undefined) throw new Error("no stream");
  const decoder = new TextDecoder();
  let buffer = "";
  const next = async (): Promise<string | undefined> => {
    while (!buffer.includes("\n\n")) {
      const { value, done } = await reader.read();
      if (done) return undefined;
      buffer += decoder.decode(value, { stream: true });
    }
    const end = buffer.indexOf("\n\n") + 2;
    const text = buffer.slice(0, end);
    buffer = buffer.slice(end);
    return text;
  };
  const event = async (): Promise<Event> => {
    const lines = ((await next()) ?? "").trimEnd().split("\n");
    const value = (name: string): string =>
      lines.find((line) => line.startsWith(`${name}:`))?.slice(name.length + 1) ?? "";
    return { id: value("id"), event: value("event"), data: value("data") };
  };
  const hello = await next();
  const clientId = /"clientId":"(\w{40})"/.exec(hello ?? "")?.[1] ?? "";
  return { response, hello, clientId, event, next, close: () => reader.cancel() };
}

async function subscribe(clientId: string, subscriptions: string[], token = ""): Promise<Response> {
  const headers = { "content-type": "application/json", ...(token === "" ? {} : { authorization: token }) };
  return fetch(`${api.url}/api/realtime`, {
    method: "POST",
    headers,
    body: JSON.stringify({ clientId, subscriptions }),
  });
}

async function user(email: string): Promise<{ id: string; token: string }> {
  const password = "12345678";
  const { id } = await root.collection("users").create({ email, password, passwordConfirm: password });
  const pb = new PocketBase(api.url);
  return { id, token: (await pb.collection("users").authWithPassword(email, password)).token };
}

test("connect sends PB_CONNECT in PocketBase's exact form", async () => {
  const stream = await connect();
  expect(stream.response.headers.get("content-type")).toBe("text/event-stream");
  expect(stream.response.headers.get("cache-control")).toBe("no-store");
  expect(stream.hello).toBe(
    `id:${stream.clientId}\nevent:PB_CONNECT\ndata:{"clientId":"${stream.clientId}"}\n\n`,
  );
  await stream.close();
});

test("subscribe refuses unknown clients, another account and too long topics", async () => {
  const stream = await connect();
  expect((await subscribe("nobody", [])).status).toBe(404);
  expect((await subscribe(stream.clientId, ["x".repeat(2501)])).status).toBe(400);
  const ann = await user("ann@example.com");
  expect((await subscribe(stream.clientId, ["rooms/*"])).status).toBe(204);
  expect((await subscribe(stream.clientId, ["rooms/*"], ann.token)).status).toBe(204);
  expect((await subscribe(stream.clientId, ["rooms/*"])).status).toBe(403);
  expect((await subscribe(stream.clientId, ["rooms/*"], root.authStore.token)).status).toBe(403);
  await stream.close();
});

test("whoever was signed out while the request came subscribes as a guest", async () => {
  const eve = await user("late@example.com");
  const stream = await connect();
  const room = await root.collection("rooms").create({ name: "hers", owner: eve.id });
  const guests = `rooms/${room.id}?options=${encodeURIComponent(`{"headers":{"x_key":"open"}}`)}`;
  const body = { clientId: stream.clientId, subscriptions: ["rooms/*", guests] };
  const { arrive, answered } = slowPost(api, "/api/realtime", eve.token, body);
  const password = { password: "87654321", passwordConfirm: "87654321" };
  await root.collection("users").update(eve.id, password);
  arrive();
  expect((await answered).status).toBe(204);
  for (const name of ["one", "two"]) await root.collection("rooms").update(room.id, { name });
  const events = [await stream.event(), await stream.event()];
  expect(events.map(({ event }) => event)).toEqual([guests, guests]);
  await stream.close();
});

test("messages follow each topic's rule and options, in order, with the topic as event name", async () => {
  const bob = await user("bob@example.com");
  const stream = await connect();
  const room = await root.collection("rooms").create({ name: "first" });
  const options = encodeURIComponent(
    JSON.stringify({ query: { fields: "name" }, headers: { "X-Key": "open" } }),
  );
  const one = `rooms/${room.id}?options=${options}`;
  await subscribe(stream.clientId, ["rooms/*", one, `rooms/${room.id}`], bob.token);
  await root.collection("rooms").update(room.id, { name: "second" });
  await root.collection("rooms").update(room.id, { owner: bob.id });
  const events = [await stream.event(), await stream.event(), await stream.event()];
  expect(events[0]).toEqual({
    id: expect.stringMatching(new RegExp(`^${stream.clientId.slice(0, 30)}\\w{10}$`)) as unknown as string,
    event: one,
    data: `{"record":{"name":"second"},"action":"update"}`,
  });
  // Owned by bob now: the list topic too. The view topic without the header stays silent.
  expect(
    events
      .slice(1)
      .map(({ event }) => event)
      .toSorted(),
  ).toEqual(["rooms/*", one].toSorted());
  await root.collection("rooms").delete(room.id);
  const deleted = [await stream.event(), await stream.event()];
  expect(deleted.every(({ data }) => data.endsWith(`"action":"delete"}`))).toBe(true);
  await stream.close();
});

test("a new token key drops the client's account, not its connection", async () => {
  const eve = await user("eve@example.com");
  const stream = await connect();
  await subscribe(stream.clientId, ["rooms/*"], eve.token);
  const room = await root.collection("rooms").create({ name: "a", owner: eve.id });
  expect((await stream.event()).data).toContain(room.id);
  await root.collection("users").update(eve.id, { password: "abcdefgh", passwordConfirm: "abcdefgh" });
  await root.collection("rooms").update(room.id, { name: "hidden" });
  // A guest may subscribe anew on the same connection: its account is gone.
  expect(
    (
      await subscribe(stream.clientId, [
        `rooms/${room.id}?options=${encodeURIComponent(`{"headers":{"x-key":"open"}}`)}`,
      ])
    ).status,
  ).toBe(204);
  await root.collection("rooms").update(room.id, { name: "seen" });
  expect(JSON.parse((await stream.event()).data)).toMatchObject({ record: { name: "seen" } });
  await stream.close();
});

test("whose record is deleted is a guest from then on", async () => {
  const gus = await user("gus@example.com");
  const stream = await connect();
  await subscribe(stream.clientId, ["users/*", "rooms/*"], gus.token);
  const client = api.tenant.slot(realtimeHub).find(stream.clientId);
  expect(client?.auth?.record.id).toBe(gus.id);
  await root.collection("users").delete(gus.id);
  expect(client?.auth).toBeUndefined();
  await stream.close();
});

test("subscriptions come from the address that the stream went to", async () => {
  await root.settings.update({ trustedProxy: { headers: ["x-client"] } });
  const stream = await connect();
  const from = async (address: string) => {
    const headers = { "content-type": "application/json", "x-client": address };
    const body = JSON.stringify({ clientId: stream.clientId, subscriptions: ["rooms/*"] });
    return (await fetch(`${api.url}/api/realtime`, { method: "POST", headers, body })).status;
  };
  expect([await from("9.9.9.9"), await from("127.0.0.1")]).toEqual([400, 204]);
  await root.settings.update({ trustedProxy: { headers: [] } });
  await stream.close();
});

test("a client that does not read is disconnected before its queue is without bound", () => {
  let closed = 0;
  const client = new RealtimeClient("127.0.0.1", 0, () => void (closed += 1));
  for (let n = 1; n < limits.realtimeQueueMax; n++) client.send("x", "{}");
  expect([client.isClosed, closed]).toEqual([false, 0]);
  client.send("x", "{}");
  expect([client.isClosed, closed]).toEqual([true, 1]);
});

test("nor is what waits for a client that is told what it missed", () => {
  const client = new RealtimeClient("127.0.0.1", 0, () => undefined);
  client.hold();
  for (let n = 0; n < limits.realtimeQueueMax; n++) client.tell("x", "{}", 0);
  expect(client.isClosed).toBe(false);
  client.tell("x", "{}", 0);
  expect(client.isClosed).toBe(true);
});

test("a rolled back change is never told", async () => {
  await root.settings.update({ batch: { enabled: true } });
  const stream = await connect();
  await subscribe(stream.clientId, ["rooms/*"], root.authStore.token);
  const batch = root.createBatch();
  batch.collection("rooms").create({ name: "never" });
  batch.collection("rooms").create({ name: "bad", owner: "nobody" });
  expect(await batch.send().catch(() => "refused")).toBe("refused");
  await root.collection("rooms").create({ name: "after" });
  expect(JSON.parse((await stream.event()).data)).toMatchObject({ record: { name: "after" } });
  await stream.close();
});

test("parseTopic reads options and ignores what it cannot read", () => {
  const raw = JSON.stringify({ query: { filter: "a=1", page: 2 }, headers: { "X-Token": "t" } });
  expect(parseTopic(`posts/*?options=${encodeURIComponent(raw)}`)).toMatchObject({
    base: "posts/*",
    query: { filter: "a=1", page: "2" },
    headers: { x_token: "t" },
  });
  const odd = JSON.stringify({ QUERY: { fields: ["a"], x: null, y: {} }, query: null, Headers: { A: "b" } });
  expect(parseTopic(`posts/*?options=${encodeURIComponent(odd)}`)).toMatchObject({
    query: { fields: "", x: "", y: "" },
    headers: { a: "b" },
  });
  expect(parseTopic("posts/*?options=nonsense")).toMatchObject({ base: "posts/*", query: {}, headers: {} });
  expect(parseTopic("custom")).toMatchObject({ base: "custom", query: {} });
});

test("bodies are read as PocketBase reads them", async () => {
  const { clientId, close } = await connect();
  const send = async (body: string, type = "application/json"): Promise<[number, string]> => {
    const headers = { "content-type": type };
    const answer = await fetch(`${api.url}/api/realtime`, { method: "POST", headers, body });
    return [answer.status, await answer.text()];
  };
  expect(await send(JSON.stringify({ clientId, subscriptions: [null] }))).toEqual([204, ""]);
  const generic = `"message":"Something went wrong while processing your request."`;
  expect(await send(JSON.stringify({ CLIENTID: clientId, Subscriptions: ["a"] }))).toEqual([204, ""]);
  const form = "application/x-www-form-urlencoded";
  expect(await send(`clientId=${clientId}&clientId=x`, form)).toEqual([204, ""]);
  expect((await send(`clientId=x&clientId=${clientId}`, form))[0]).toBe(404);
  expect(await send("x", "text/plain")).toEqual([400, expect.stringContaining(generic)]);
  await close();
});

test("a new token secret ends who a client is, also when the record changes after it", async () => {
  await root.collections.create({ name: "staff", type: "auth", listRule: "" });
  const password = { password: "12345678", passwordConfirm: "12345678" };
  const { id } = await root.collection("staff").create({ email: "s@example.com", ...password });
  const { token } = await new PocketBase(api.url)
    .collection("staff")
    .authWithPassword("s@example.com", password.password);
  const { clientId, close } = await connect();
  const subscribe = async (authorization?: string): Promise<number> => {
    const headers = {
      "content-type": "application/json",
      ...(authorization === undefined ? {} : { authorization }),
    };
    const body = JSON.stringify({ clientId, subscriptions: ["staff/*"] });
    return (await fetch(`${api.url}/api/realtime`, { method: "POST", headers, body })).status;
  };
  expect(await subscribe(token)).toBe(204);
  expect(await subscribe()).toBe(403);
  await root.collections.update("staff", { authToken: { secret: "s".repeat(50) } });
  await root.collection("staff").update(id, { emailVisibility: true });
  expect(await subscribe()).toBe(204);
  await close();
});
