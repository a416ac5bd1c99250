import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { limits } from "../../shared/limits.ts";
import { eventually, killAll } from "../e2e/process.ts";
import { RealPlatform, newKey } from "./real-platform.ts";

let platform: RealPlatform;
const outcomes = new Map<string, number>();
let stopped = false;
const users: Promise<void>[] = [];

beforeAll(async () => {
  platform = await RealPlatform.start({ gateways: ["bun", "deno"] });
  await platform.createTenant("acme");
}, 60_000);

afterAll(async () => {
  stopped = true;
  await Promise.all(users);
  await platform.stop();
  await killAll();
});

/** One request after the other, reads and writes; a lease that a busy machine loses fails neither, a key that is refused both. */
async function use(gateway: number, user: number): Promise<void> {
  for (let n = 0; !stopped; n++) {
    const write = n % 2 === 0;
    const path = `/api/collections/notes/records${write ? "" : `?page=${n}`}`;
    const body = JSON.stringify({ n });
    const json = { "content-type": "application/json", "idempotency-key": `g${gateway}-${user}-${n}` };
    const init = write ? { method: "POST", headers: json, body } : {};
    const outcome = await platform
      .ask("acme.localhost", path, init, platform.gateways[gateway])
      .then(async (answer) => {
        const text = await answer.text();
        return answer.status === 200 ? "200" : `${answer.status} ${text.slice(0, 120)}`;
      })
      .catch((error: unknown) => String(error));
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
}

/** As an operator would: the whole file at once. */
function write(name: "member" | "gateway", keys: string): void {
  const file = platform.keyFile(name);
  writeFileSync(`${file}.next`, keys, { mode: 0o600 });
  renameSync(`${file}.next`, file);
}

test("both keys are rotated in three steps, nothing restarts and no request fails", async () => {
  for (const user of [0, 1, 2, 3]) users.push(use(user % 2, user));
  const all = [...platform.controls, ...platform.workers, ...platform.gateways];
  const read = async (ids: string, names: readonly string[]) => {
    for (const { name, process } of all.filter((one) => names.some((n) => one.name.startsWith(n)))) {
      await eventually(() => expect([name, process.errors()]).toEqual([name, expect.stringContaining(ids)]));
    }
  };
  const old = { member: readFileSync(platform.keyFile("member"), "utf8"), gateway: "" };
  old.gateway = readFileSync(platform.keyFile("gateway"), "utf8");
  const fresh = { member: newKey("member-2"), gateway: newKey("gateway-2") };
  for (const step of ["add", "sign", "remove"] as const) {
    for (const name of ["member", "gateway"] as const) {
      const text = {
        add: `${old[name]}\n${fresh[name]}\n`,
        sign: `${fresh[name]},${old[name]}\n`,
        remove: `${fresh[name]}\n`,
      }[step];
      write(name, text);
    }
    // By signal at the first step, by themselves at the others.
    if (step === "add") for (const { process } of all) process.kill("SIGHUP");
    else await Bun.sleep(limits.keyReloadMs * 1.5);
    if (step === "sign") await read("gateway-2, gateway-1", ["control", "worker", "gateway"]);
    await Bun.sleep(500);
  }
  await read("keys gateway-2; the first signs", ["control", "worker", "gateway"]);
  await read("keys member-2; the first signs", ["control", "worker"]);
  // What control and workers sign with the new member key, and gateways with theirs: a tenant is made, loaded and served.
  await platform.cp("POST", "/tenants", { slug: "fresh" });
  for (const gateway of platform.gateways) {
    expect((await platform.ask("fresh.localhost", "/api/health", {}, gateway)).status).toBe(200);
  }
  stopped = true;
  await Promise.all(users.splice(0));
  const total = [...outcomes.values()].reduce((sum, count) => sum + count, 0);
  expect(Object.fromEntries(outcomes)).toEqual({ "200": total });
  expect(total).toBeGreaterThan(200);
}, 60_000);
