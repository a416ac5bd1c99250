import { afterAll, beforeAll, expect, test } from "bun:test";
import { type TestApi, startTestApi } from "../app-testing.ts";
import { createLog } from "../log.ts";
import { createFrame } from "./frame.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi("async");
});
afterAll(() => api.close());

test("whatever a tenant needs is there once, before its first handler", async () => {
  const { tenant, url } = api;
  const order: string[] = [];
  const frame = createFrame({
    log: createLog("test"),
    prepare: [() => order.push("one"), () => order.push("two")],
    routes: [
      {
        method: "GET",
        path: "/",
        handle: (context) => {
          order.push("handler");
          return context.noContent();
        },
      },
    ],
  });
  for (let i = 0; i < 2; i++) {
    const request = new Request(url);
    const rest = { clientIp: "127.0.0.1", origin: url, requestId: "test" };
    expect((await frame({ request, tenant, seen: tenant.observe(), ...rest })).status).toBe(204);
  }
  expect(order).toEqual(["one", "two", "handler", "handler"]);
});
