import { afterAll, beforeAll, expect, test } from "bun:test";
import PocketBase from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../app-testing.ts";

let api: TestApi;
let token: string;

beforeAll(async () => {
  api = await startTestApi("async");
  const root = new PocketBase(api.url);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  ({ token } = root.authStore);
  await root.settings.update({ superuserIPs: ["10.0.0.0/8"] });
});
afterAll(() => api.close());

async function marks(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<unknown> {
  const { status, headers: told } = await fetch(api.url + path, { method, headers, redirect: "manual" });
  const names = ["x-xss-protection", "x-content-type-options", "x-frame-options"];
  return [
    status,
    names.some((name) => told.has(name)),
    told.get("vary"),
    told.get("access-control-allow-origin"),
  ];
}

test("what PocketBase answers before its own headers has none of them", async () => {
  expect(await marks("/api/health")).toEqual([200, true, "Origin", null]);
  expect(await marks("/api/health", { authorization: token })).toEqual([403, false, "Origin", null]);
  const origin = "http://elsewhere.example";
  expect(await marks("/api/health", { authorization: token, origin })).toEqual([403, false, "Origin", "*"]);
  expect(await marks("/api//health", { origin })).toEqual([307, false, null, null]);
  expect(await marks("/api/%zz", { origin })).toEqual([400, false, null, null]);
});

test("a path with slashes too many leads to the one that was meant", async () => {
  const ask = async (path: string, method: string): Promise<unknown> => {
    const answered = await fetch(api.url + path, { method, redirect: "manual" });
    const { headers } = answered;
    return [headers.get("location"), headers.get("content-type"), await answered.text()];
  };
  const html = "text/html; charset=utf-8";
  const link = '<a href="/a/b?c=//d&amp;e">Temporary Redirect</a>.\n\n';
  expect(await ask("//a///b?c=//d&e", "GET")).toEqual(["/a/b?c=//d&e", html, link]);
  expect(await ask("//a///b?c=//d&e", "HEAD")).toEqual(["/a/b?c=//d&e", html, ""]);
  expect(await ask("/a//%41%2f?b=%41", "POST")).toEqual(["/a/%2541%252f?b=%41", null, ""]);
  expect(await ask("//a///b?c=//d&e", "POST")).toEqual(["/a/b?c=//d&e", null, ""]);
});

test("a path that is none is answered before a preflight", async () => {
  const headers = { origin: "http://elsewhere.example" };
  expect(await marks("/api/health", headers, "OPTIONS")).toEqual([
    204,
    false,
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    "*",
  ]);
  expect(await marks("/api//health", headers, "OPTIONS")).toEqual([307, false, null, null]);
  expect(await marks("/api/%zz", headers, "OPTIONS")).toEqual([400, false, null, null]);
});
