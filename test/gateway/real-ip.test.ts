/** The client's address, from a proxy in front through the gateway to a tenant that trusts the gateway's headers. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually, killAll } from "../e2e/process.ts";
import { RealPlatform } from "./real-platform.ts";

let platform: RealPlatform;
let token: string;
beforeAll(async () => {
  platform = await RealPlatform.start({ gatewayOptions: ["--trusted-proxies=127.0.0.1"] });
  token = await platform.createTenant("acme");
}, 60_000);
afterAll(async () => {
  await platform.stop();
  await killAll();
});

test.each([["X-Real-IP"], ["X-Forwarded-For"], [undefined]])(
  "a tenant that trusts %p sees who asked",
  async (name) => {
    const headers = { authorization: token, "content-type": "application/json" };
    const body = JSON.stringify({
      trustedProxy: { headers: name === undefined ? [] : [name], useLeftmostIP: false },
      logs: { maxDays: 5, logIP: true, minLevel: 0 },
    });
    const set = await platform.ask("acme.localhost", "/api/settings", { method: "PATCH", headers, body });
    expect(set.status).toBe(200);
    const path = `/api/collections/notes/records?by=${name}`;
    await platform.ask("acme.localhost", path, {
      headers: { "x-forwarded-for": "6.6.6.6, 192.0.2.7", "x-real-ip": "6.6.6.6" },
    });
    await eventually(async () => {
      const logs = await platform.ask("acme.localhost", "/api/logs?perPage=20", { headers });
      const { items } = (await logs.json()) as { items: { data: Record<string, unknown> }[] };
      const entry = items.find(({ data }) => data["url"] === path)?.data;
      expect(entry).toMatchObject({ userIP: "192.0.2.7", remoteIP: "192.0.2.7" });
    });
  },
  30_000,
);
