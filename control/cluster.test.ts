/** Three processes as an operator starts them. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { freePorts } from "../scripts/etcd-server.ts";
import { SystemError } from "../shared/errors.ts";
import { InternalClient } from "../shared/protocol/internal-client.ts";
import { registerResponseSchema } from "../shared/protocol/internal.ts";
import { parseKeyring } from "../shared/protocol/keys.ts";
import { base64Url } from "../shared/protocol/mac.ts";

const root = join(import.meta.dir, "..");
const TOKEN = `mbo_${"c".repeat(40)}`;
const newKey = (id: string): string => `${id}:${base64Url(crypto.getRandomValues(new Uint8Array(32)))}`;
const memberKey = newKey("member-1");
const running: Bun.Subprocess[] = [];
const directories: string[] = [];

afterEach(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

interface Replica {
  id: string;
  url: string;
  child: Bun.Subprocess<"ignore", "pipe", "pipe">;
}

class Cluster {
  readonly directory = mkdtempSync(join(tmpdir(), "manybase-cluster-"));
  readonly replicas = new Map<string, Replica>();
  readonly urls: ReadonlyMap<string, string>;

  constructor(ports: number[]) {
    directories.push(this.directory);
    this.urls = new Map(ports.map((port, i) => [`c${i + 1}`, `http://127.0.0.1:${port}`]));
  }

  start(id: string, args: string[] = ["--cluster", this.founders()], member = memberKey): Replica {
    const url = this.urls.get(id)!;
    const child = Bun.spawn(
      [
        process.execPath,
        "control/main.ts",
        ...["--data", join(this.directory, id), "--store", `file:${join(this.directory, "store")}`],
        ...["--listen", url.slice("http://".length), "--member-id", id, ...args],
      ],
      {
        cwd: root,
        env: {
          PATH: process.env["PATH"] ?? "",
          MANYBASE_LOG_LEVEL: "error",
          MANYBASE_MEMBER_KEY: member,
          MANYBASE_GATEWAY_KEY: memberKey.replace("member", "gateway"),
          MANYBASE_OPERATOR_TOKEN: TOKEN,
        },
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      },
    );
    running.push(child);
    const replica = { id, url, child };
    this.replicas.set(id, replica);
    return replica;
  }

  founders(): string {
    return ["c1", "c2", "c3"].map((id) => `${id}=${this.urls.get(id)}`).join(",");
  }

  async cp(id: string, method: string, path: string, body?: unknown) {
    const response = await fetch(`${this.urls.get(id)}/api/cp${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(8_000),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: JSON.parse(text) as Record<string, unknown>,
    };
  }

  /** Answers of one that is up and knows who leads. */
  async members(id: string): Promise<{ id: string; url: string; role: string }[]> {
    const { status, body } = await this.cp(id, "GET", "/members");
    if (status !== 200) throw new Error(`members: ${status} ${JSON.stringify(body)}`);
    return memberListSchema.parse(body).members;
  }

  async leader(): Promise<string> {
    for (let i = 0; i < 200; i++) {
      for (const id of this.replicas.keys()) {
        const list = await this.members(id).catch(() => []);
        const leader = list.find((member) => member.role === "leader")?.id;
        if (leader !== undefined && this.replicas.get(leader)?.child.exitCode === null) {
          const own = await this.members(leader).catch(() => []);
          if (own.some((member) => member.id === leader && member.role === "leader")) return leader;
        }
      }
      await Bun.sleep(25);
    }
    throw new Error("nobody leads");
  }
}

const memberListSchema = z.object({
  members: z.array(z.object({ id: z.string(), url: z.string(), role: z.string() })),
});

async function ready({ child }: Replica): Promise<void> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of child.stdout) {
    text += decoder.decode(chunk);
    if (text.includes("control ready on")) return;
  }
  throw new Error(`never ready: ${text}${await new Response(child.stderr).text()}`);
}

test("three processes form a cluster that outlives its leader, grows and shrinks", async () => {
  const cluster = new Cluster(await freePorts(4));
  await Promise.all(["c1", "c2", "c3"].map((id) => ready(cluster.start(id))));
  const first = await cluster.leader();
  const follower = ["c1", "c2", "c3"].find((id) => id !== first)!;

  // Written through a follower, read from every replica.
  const created = await cluster.cp(follower, "POST", "/tenants", { slug: "one" });
  expect([created.status, created.body["slug"]]).toEqual([201, "one"]);
  for (const id of cluster.replicas.keys()) {
    expect((await cluster.cp(id, "GET", "/tenants/one")).status).toBe(200);
  }

  // A room with all the addresses reaches the leader through any of them, also when the first one is dead.
  cluster.replicas.get(first)!.child.kill("SIGKILL");
  const killedMs = performance.now();
  const client = new InternalClient({
    url: [first, follower].map((id) => cluster.urls.get(id)).join(","),
    keys: parseKeyring(memberKey, "test"),
    timeoutMs: 5_000,
  });
  const request = { url: "http://127.0.0.1:1", nonce: "0".repeat(32), version: "0.1.0", nowMs: Date.now() };
  // Who was told that nobody knows whether it was done, or that nobody leads yet, asks again, as a worker does.
  const again = ["control_state_unknown", "control_no_leader", "control_unreachable"];
  let incarnation: number | undefined;
  while (incarnation === undefined && performance.now() - killedMs < 20_000) {
    const answer = await client
      .call("POST", "/v1/workers", registerResponseSchema, request)
      .catch((error: unknown) => {
        expect(again).toContain(error instanceof SystemError ? error.code : String(error));
      });
    incarnation = answer?.incarnation;
  }
  expect(incarnation).toBeGreaterThan(0);
  const second = await cluster.leader();
  expect(second).not.toBe(first);
  expect((await cluster.cp(second, "POST", "/tenants", { slug: "two" })).status).toBe(201);

  // The dead one comes back on its directory; without --cluster, because it knows.
  await ready(cluster.start(first, []));
  expect((await cluster.cp(first, "GET", "/tenants/two")).status).toBe(200);

  await ready(cluster.start("c4", ["--join", cluster.urls.get(first)!]));
  for (let i = 0; i < 200; i++) {
    const role = (await cluster.members("c4")).find((member) => member.id === "c4")?.role;
    if (role === "follower") break;
    await Bun.sleep(25);
  }
  expect((await cluster.members("c4")).map(({ id, role }) => [id, role === "learner"])).toContainEqual([
    "c4",
    false,
  ]);
  expect((await cluster.cp("c4", "POST", "/members/c4/lead")).status).toBe(200);
  expect(await cluster.leader()).toBe("c4");
  const removed = await cluster.cp(first, "DELETE", `/members/${second}`);
  expect(removed.status).toBe(200);
  expect((await cluster.cp(first, "DELETE", `/members/${second}`)).status).toBe(404);
  expect((await cluster.cp(first, "POST", "/members", { id: "NO", url: "x" })).status).toBe(400);
  const { body } = await cluster.cp(first, "GET", "/audit?limit=20");
  expect(JSON.stringify(body)).toContain("member.remove");
}, 60_000);

test("without a majority: 503 with Retry-After, soon; and what is not its cluster is refused with a reason", async () => {
  const cluster = new Cluster(await freePorts(4));
  await Promise.all(["c1", "c2", "c3"].map((id) => ready(cluster.start(id))));
  const leader = await cluster.leader();
  const others = ["c1", "c2", "c3"].filter((id) => id !== leader);

  const foreign = cluster.start("c4", [
    "--cluster",
    `c4=${cluster.urls.get("c4")},${leader}=${cluster.urls.get(leader)}`,
  ]);
  expect(await foreign.child.exited).toBe(1);
  expect(await new Response(foreign.child.stderr).text()).toContain("Cannot accept member c4");

  for (const id of others) cluster.replicas.get(id)!.child.kill("SIGKILL");
  const answer = await cluster.cp(leader, "POST", "/tenants", { slug: "late" });
  expect(answer.status).toBe(503);
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
}, 60_000);
