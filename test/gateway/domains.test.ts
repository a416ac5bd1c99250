/** A custom domain from the command line to the gateway, with real DNS questions. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { bin, eventually, finish, killAll } from "../e2e/process.ts";
import { type DnsServer, startDns } from "./dns-server.ts";
import { RealPlatform } from "./real-platform.ts";

let dns: DnsServer;
let platform: RealPlatform;

beforeAll(async () => {
  dns = await startDns();
  platform = await RealPlatform.start({
    domain: "platform.test",
    gateways: ["bun", "deno"],
    controlOptions: ["--dns", dns.address],
  });
  for (const slug of ["acme", "other"]) await platform.cp("POST", "/tenants", { slug });
}, 60_000);

afterAll(async () => {
  await platform.stop();
  dns.stop();
  await killAll();
});

/** As an operator's terminal shows it: the status, and what is printed. */
async function manybase(...words: string[]): Promise<[number, string]> {
  const { status, output, errors } = await finish([bin("bun"), "run", "--silent", "manybase", ...words], {
    MANYBASE_CONTROL: platform.controls[0]?.url ?? "",
    MANYBASE_TOKEN: `mbo_${"g".repeat(40)}`,
    MANYBASE_DATA: platform.data,
  });
  return [status, output + errors];
}
const health = (host: string): Promise<number[]> =>
  Promise.all(
    platform.gateways.map(async (gateway) => (await platform.ask(host, "/api/health", {}, gateway)).status),
  );

test("a domain is claimed, proved, served and taken away", async () => {
  const at = "/tenants/acme/domains";
  const made = (await platform.cp("POST", at, { domain: "Bücher.example" })) as {
    domain: string;
    record: { name: string; value: string };
  };
  expect(made.domain).toBe("xn--bcher-kva.example");
  const verify = () => platform.cp("POST", `${at}/${made.domain}/verify`);
  await expect(verify()).rejects.toThrow("domain_not_proved");
  dns.silent.add(made.record.name);
  await expect(verify()).rejects.toThrow("domain_lookup_failed");
  dns.silent.clear();
  dns.records.set(made.record.name, ["v=spf1 -all", made.record.value]);
  expect(await health(made.domain)).toEqual([404, 404]);
  expect(await verify()).toMatchObject({ state: "verified" });
  expect(dns.asked).toContain("_manybase.xn--bcher-kva.example");
  await eventually(async () => expect(await health(made.domain)).toEqual([200, 200]));
  await expect(platform.cp("POST", "/tenants/other/domains", { domain: made.domain })).rejects.toThrow(
    "domain_taken",
  );
  await platform.cp("DELETE", `${at}/${made.domain}`);
  await eventually(async () => expect(await health(made.domain)).toEqual([404, 404]));
}, 30_000);

test("a tenant's limits reach the gateways, and go again", async () => {
  const limit = (limits: object) => platform.cp("PATCH", "/tenants/other", { limits });
  expect(await health("other.platform.test")).toEqual([200, 200]);
  const post = async () =>
    (
      await platform.ask("other.platform.test", "/api/collections/x/records", {
        method: "POST",
        body: "x".repeat(100),
        headers: { "content-type": "application/json" },
      })
    ).status;
  await limit({ bodyBytes: 99 });
  await eventually(async () => expect(await post()).toBe(413));
  await limit({ bodyBytes: null });
  await eventually(async () => expect(await post()).not.toBe(413));
});

test("the command line does the same", async () => {
  expect(await manybase("domains", "list", "acme")).toEqual([0, "No domains yet.\n"]);
  const [added, text] = await manybase("domains", "add", "acme", "www.example.net");
  expect([added, text]).toEqual([0, expect.stringContaining("_manybase.www.example.net  TXT  mbd_")]);
  const [early, why] = await manybase("domains", "verify", "acme", "www.example.net");
  expect([early, why]).toEqual([1, expect.stringContaining("Set a TXT record at _manybase.www.example.net")]);
  dns.records.set("_manybase.www.example.net", [/mbd_\w+/.exec(text)?.[0] ?? ""]);
  expect(await manybase("domains", "verify", "acme", "www.example.net")).toEqual([
    0,
    "www.example.net serves acme.\n",
  ]);
  expect((await manybase("domains", "list", "acme"))[1]).toContain("verified");
  expect((await manybase("tenants", "get", "acme"))[1]).toContain("www.example.net");
  expect((await manybase("domains", "remove", "acme", "www.example.net"))[0]).toBe(0);
  const [status, updated] = await manybase("tenants", "update", "acme", "--requests-per-second", "50");
  expect([status, updated]).toEqual([0, "acme is durable now, requestsPerSecond 50.\n"]);
  expect((await manybase("tenants", "update", "acme", "--requests-per-second", "default"))[1]).toBe(
    "acme is durable now.\n",
  );
  expect((await manybase("tenants", "update", "acme", "--body-bytes", "much"))[0]).toBe(1);
}, 30_000);
