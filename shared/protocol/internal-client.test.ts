import { afterEach, expect, test } from "bun:test";
import { z } from "zod";
import { SystemError, UserError, errorResponse } from "../errors.ts";
import { InternalClient } from "./internal-client.ts";
import { parseKeyring } from "./keys.ts";

const keys = parseKeyring(`k1:${"a".repeat(43)}`, "test key");
const schema = z.object({ from: z.string() });
const servers: ReturnType<typeof Bun.serve>[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop(true);
});

/** A replica, and how often it was asked. */
function replica(answer: () => Response | Promise<Response>): { url: string; asked: () => number } {
  let asked = 0;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => {
      asked += 1;
      return answer();
    },
  });
  servers.push(server);
  return { url: `http://127.0.0.1:${server.port}`, asked: () => asked };
}

const works = () => replica(() => Response.json({ from: "good" }));
const client = (...urls: string[]) => new InternalClient({ url: urls.join(" , "), keys, timeoutMs: 3_000 });
const code = async (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    (error: unknown) => (error as { code?: unknown }).code,
  );

test("asks the next replica when one is gone or has no leader, and stays with the one that answered", async () => {
  const leaderless = replica(() => errorResponse(new SystemError("control_no_leader", "none")));
  const good = works();
  const member = client("http://127.0.0.1:1/", leaderless.url, good.url);
  for (let i = 0; i < 3; i++) expect(await member.call("GET", "/v1/x", schema)).toEqual({ from: "good" });
  expect([leaderless.asked(), good.asked()]).toEqual([1, 3]);
  // What a client in another thread is made of: it must know them all.
  expect(member.urls).toBe(`${good.url},http://127.0.0.1:1,${leaderless.url}`);
});

test("does not wait long for one that hangs while there is another", async () => {
  const hangs = replica(() => new Promise<Response>(() => undefined));
  const good = works();
  const startedMs = performance.now();
  const member = client(hangs.url, good.url);
  expect(await member.call("POST", "/v1/x", schema, { a: 1 })).toEqual({ from: "good" });
  expect(performance.now() - startedMs).toBeLessThan(2_000);
});

test("what every replica would answer is told at once; when all fail, the last one's error", async () => {
  const good = works();
  const refuses = replica(() => errorResponse(new UserError("conflict", "no")));
  expect(await code(client(refuses.url, good.url).call("GET", "/v1/x", schema))).toBe("conflict");
  expect(good.asked()).toBe(0);
  const leaderless = replica(() => errorResponse(new SystemError("control_no_leader", "none")));
  expect(await code(client(leaderless.url, "http://127.0.0.1:1").call("GET", "/v1/x", schema))).toBe(
    "control_unreachable",
  );
  expect(leaderless.asked()).toBe(1);
});
