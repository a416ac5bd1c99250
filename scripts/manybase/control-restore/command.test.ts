/** `manybase control restore` as it is typed: where the state goes. */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const TOOL = join(import.meta.dir, "../../manybase.ts");

async function restore(...args: string[]): Promise<{ said: string; inCurrent: boolean }> {
  const directory = mkdtempSync(join(tmpdir(), "manybase-restore-"));
  try {
    const child = Bun.spawn([process.execPath, TOOL, "control", "restore", ...args], {
      ...{ cwd: directory, stdin: "ignore", stdout: "ignore", stderr: "pipe" },
      env: { PATH: process.env["PATH"] ?? "" },
    });
    const said = await new Response(child.stderr).text();
    return { said, inCurrent: existsSync(join(directory, "data")) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

test("control restore --etcd goes to that etcd and to no directory", async () => {
  let asked = 0;
  const etcd = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0 },
    fetch: () => {
      asked += 1;
      return new Response("no leader", { status: 503 });
    },
  });
  const outcome = await restore("--store", "file:store", "--etcd", `http://127.0.0.1:${etcd.port}`);
  await etcd.stop(true);
  expect(outcome).toEqual({ said: expect.stringContaining("Cannot use etcd"), inCurrent: false });
  expect(asked).toBeGreaterThan(0);
});

test("control restore needs one place, and not two", async () => {
  const neither = await restore("--store", "file:store");
  expect(neither).toEqual({ said: expect.stringContaining("either --data or --etcd"), inCurrent: false });
  const both = await restore("--store", "file:store", "--etcd", "http://127.0.0.1:1", "--data", "data");
  expect(both).toEqual({ said: expect.stringContaining("either --data or --etcd"), inCurrent: false });
});
