import { afterAll, beforeAll, expect, test } from "bun:test";
import PocketBase from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../app-testing.ts";

let api: TestApi;
let root: PocketBase;

beforeAll(async () => {
  api = await startTestApi("async");
  root = new PocketBase(api.url);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.settings.update({ trustedProxy: { headers: ["x-client"], useLeftmostIP: false } });
});
afterAll(() => api.close());

const TABLE: [header: string, address: string][] = [
  ["9.9.9.9", "9.9.9.9"],
  ["1.2.3.4, 5.6.7.8", "5.6.7.8"],
  ["9.9.9.9, nonsense", "9.9.9.9"],
  ["nonsense", "127.0.0.1"],
  ["::1", "0000:0000:0000:0000:0000:0000:0000:0001"],
  ["::", "0000:0000:0000:0000:0000:0000:0000:0000"],
  ["2001:DB8::1", "2001:0db8:0000:0000:0000:0000:0000:0001"],
  ["1:2:3:4:5:6:7:8", "0001:0002:0003:0004:0005:0006:0007:0008"],
  ["::ffff:1.2.3.4", "0000:0000:0000:0000:0000:ffff:0102:0304"],
  ["fe80::1%eth0", "fe80:0000:0000:0000:0000:0000:0000:0001%eth0"],
];
for (const [header, address] of TABLE) {
  test(`realIp of "${header}" is ${address}`, async () => {
    const { data } = await root.health.check({ headers: { "x-client": header } });
    expect(data["realIP"]).toBe(address);
  });
}
