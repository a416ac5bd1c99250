/** The gateway's task on Deno: what it may do is what it needs. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { limits } from "../../shared/limits.ts";
import { ROOT, bin, eventually, killAll, run } from "../e2e/process.ts";
import { FakeControl, makeData, removeData, startWorker } from "./platform.ts";

const read = (name: string): unknown => JSON.parse(readFileSync(join(ROOT, name), "utf8"));
const { tasks, imports } = read("deno.json") as {
  tasks: { gateway: string };
  imports: Record<string, string>;
};
const flags = tasks.gateway.split(" ").filter((word) => word.startsWith("--allow-"));
const worker = startWorker(1, () => new Response("ok"));
let control: FakeControl;

beforeAll(() => {
  control = new FakeControl();
  control.set("acme", worker);
});
afterAll(async () => {
  await killAll();
  await Promise.all([worker.stop(), control.stop()]);
  removeData();
});

/** Starts it with these flags, on a data directory of its own, and with a supervisor's and an operator's variables. */
function start(given: readonly string[]) {
  const data = makeData();
  const mine = given.map((flag) => flag.replaceAll("./data", data));
  const gateway = run(
    [bin("deno"), "run", "--no-prompt", ...mine, "gateway/main.ts", "--data", data, "--control", control.url],
    { MANYBASE_GATEWAY_LISTEN: "127.0.0.1:0" },
  );
  return { data, gateway, port: async () => new URL(await gateway.line("gateway ready on ")).port };
}

const answers = async (port: string) => (await fetch(`http://acme.localhost:${port}/`)).text();

test("with all of its flags it serves and keeps a copy of its routes", async () => {
  expect(flags.map((flag) => flag.split("=")[0])).toEqual([
    "--allow-net",
    "--allow-env",
    "--allow-read",
    "--allow-write",
  ]);
  const { data, gateway, port } = start(flags);
  expect(await answers(await port())).toBe("ok");
  await eventually(
    () => expect(existsSync(join(data, "gateway/routes.json"))).toBe(true),
    limits.routeCopyMs * 2,
  );
  gateway.kill("SIGKILL");
}, 30_000);

describe.each(flags)("without %s", (flag) => {
  test("it does not", async () => {
    const { data, gateway, port } = start(flags.filter((one) => one !== flag));
    if (flag.startsWith("--allow-write")) {
      expect(await answers(await port())).toBe("ok");
      await eventually(
        () => expect(gateway.errors()).toContain("Cannot write the copy of the routes"),
        limits.routeCopyMs * 2,
      );
      expect(existsSync(join(data, "gateway/routes.json"))).toBe(false);
      gateway.kill("SIGKILL");
      return;
    }
    expect(await gateway.exited).not.toBe(0);
    expect(gateway.errors()).toMatch(/Requires (?:net|env|read) access|NotCapable|Cannot (?:listen|read)/);
  }, 30_000);
});

test("it may read no other key, and nothing of the store", () => {
  const [, paths = ""] = flags.find((flag) => flag.startsWith("--allow-read="))?.split("=") ?? [];
  expect(paths.split(",")).toEqual(["./data/keys/gateway.key", "./data/gateway"]);
});

test("the import map names what package.json installs", () => {
  const { dependencies } = read("package.json") as { dependencies: Record<string, string> };
  for (const [name, target] of Object.entries(imports)) {
    const plain = name.replace(/\/$/, "");
    expect(target.replace("npm:/", "npm:").replace(/\/$/, "")).toBe(`npm:${plain}@${dependencies[plain]}`);
  }
});
