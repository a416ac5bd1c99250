import { afterAll, beforeAll, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { EventSource } from "eventsource";
import PocketBase from "pocketbase";
import { type AllInOne, startAllInOne, temporaryDirectory } from "./all-in-one.ts";
import { eventually, killAll } from "./process.ts";

/** A stock EventSource, which comes again by itself with `Last-Event-ID`, through the gateway, while the tenant's worker dies. */
const data = temporaryDirectory();
let platform: AllInOne;
let client: PocketBase;

beforeAll(async () => {
  platform = await startAllInOne(data);
  await platform.manybase("tenants", "create", "acme");
  await platform.manybase("tenants", "superuser", "acme", "root@example.com", "root-password-1");
  client = new PocketBase(platform.url("acme"));
  client.autoCancellation(false);
  await client.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
  await client.collections.create({
    ...{ name: "notes", type: "base", listRule: "" },
    fields: [{ name: "n", type: "number" }],
  });
}, 60_000);

afterAll(async () => {
  await killAll();
  rmSync(data, { recursive: true, force: true });
});

test("kill -9 of its worker: each change is told exactly once", async () => {
  const told: string[] = [];
  let connects = 0;
  let subscribed = 0;
  const source = new EventSource(`${platform.url("acme")}/api/realtime`);
  source.addEventListener("PB_CONNECT", (event) => {
    connects += 1;
    const { clientId } = JSON.parse(String(event.data)) as { clientId: string };
    const body = { clientId, subscriptions: ["notes/*"] };
    void client.send("/api/realtime", { method: "POST", body }).then(() => (subscribed += 1));
  });
  source.addEventListener("notes/*", (event) => {
    told.push((JSON.parse(String(event.data)) as { record: { id: string } }).record.id);
  });
  source.addEventListener("PB_RESUME", (event) => told.push(String(event.data)));
  await eventually(() => expect(subscribed).toBe(1));

  const written: string[] = [];
  for (let n = 0; n < 60; n++) {
    if (n === 20) process.kill(platform.pids().worker, "SIGKILL");
    const id = `note${String(n).padStart(11, "0")}`;
    // Refused or of unknown fate while nobody serves the tenant: what is kept counts.
    await eventually(async () => {
      const known = await client
        .collection("notes")
        .getOne(id)
        .catch((error: { status: number }) =>
          error.status === 404 ? undefined : Promise.reject(error as unknown),
        );
      if (known === undefined) await client.collection("notes").create({ id, n });
    }, 30_000);
    written.push(id);
  }
  await eventually(() => expect(told.length).toBeGreaterThanOrEqual(written.length), 30_000);
  await client.collection("notes").create({ id: "last00000000000", n: 99 });
  await eventually(() => expect(told.at(-1)).toBe("last00000000000"));
  expect(told).toEqual([...written, "last00000000000"]);
  expect(connects).toBeGreaterThan(1);
  source.close();
}, 120_000);
