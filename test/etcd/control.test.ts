/** Control's processes on etcd, as an operator starts them. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { base64Url } from "../../shared/protocol/mac.ts";
import { ensureEtcd } from "../../scripts/etcd-server.ts";

const root = join(import.meta.dir, "..", "..");
const TOKEN = `mbo_${"e".repeat(40)}`;
const etcd = await ensureEtcd(1);

if (!("skip" in etcd)) {
  const directory = mkdtempSync(join(tmpdir(), "manybase-on-etcd-"));
  const children: Bun.Subprocess[] = [];
  afterAll(async () => {
    for (const child of children) child.kill("SIGKILL");
    await etcd.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  const secret = base64Url(crypto.getRandomValues(new Uint8Array(32)));

  const start = async (id: string): Promise<{ url: string; child: Bun.Subprocess }> => {
    const child = Bun.spawn(
      [
        process.execPath,
        "control/main.ts",
        ...["--data", join(directory, id), "--store", `file:${join(directory, "store")}`],
        ...["--listen", "127.0.0.1:0", "--member-id", id, "--store-engine", "etcd", "--etcd", etcd.urls],
      ],
      {
        cwd: root,
        env: {
          PATH: process.env["PATH"] ?? "",
          MANYBASE_LOG_LEVEL: "error",
          MANYBASE_MEMBER_KEY: `member-1:${secret}`,
          MANYBASE_GATEWAY_KEY: `gateway-1:${secret}`,
          MANYBASE_OPERATOR_TOKEN: TOKEN,
        },
        stdin: "ignore",
        stdout: "pipe",
        stderr: "inherit",
      },
    );
    children.push(child);
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of child.stdout) {
      text += decoder.decode(chunk);
      const url = /^control ready on (\S+)$/m.exec(text)?.[1];
      if (url !== undefined) return { url, child };
    }
    throw new Error(`never ready: ${text}`);
  };

  const cp = async (url: string, method: string, path: string, body?: unknown) => {
    const response = await fetch(`${url}/api/cp${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(10_000),
    });
    return { status: response.status, text: await response.text() };
  };

  test("two replicas on etcd: a follower passes on, and takes over when the leader dies", async () => {
    const first = await start("a");
    const second = await start("b");
    expect((await cp(second.url, "POST", "/tenants", { slug: "one" })).status).toBe(201);
    expect((await cp(first.url, "GET", "/tenants/one")).status).toBe(200);
    first.child.kill("SIGKILL");
    const killedMs = performance.now();
    let status = 0;
    while (status !== 201 && performance.now() - killedMs < 15_000) {
      ({ status } = await cp(second.url, "POST", "/tenants", { slug: "two" }));
    }
    expect(status).toBe(201);
    const members = await cp(second.url, "GET", "/members");
    expect(members.text).toContain('"id":"b"');
    expect((await cp(second.url, "POST", "/members/b/lead")).status).toBe(409);
  }, 40_000);
}
