import { expect, test } from "bun:test";
import { SystemError, errorResponse } from "../../shared/errors.ts";
import type { Control } from "../service.ts";
import { forwardToLeader } from "./forward.ts";

interface Follower {
  members?: () => Promise<{ id: string; url: string; role: "leader" | "follower" }[]>;
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

const noLeader = (): SystemError =>
  new SystemError("control_no_leader", "Cannot use etcd: no server with a leader answers", {
    retryAfterMs: 1_000,
  });
const leaderAt = (url: string) => () => Promise.resolve([{ id: "b", url, role: "leader" as const }]);

/** Replica `a`, which does not lead; its clock goes on as it sleeps. */
function follower({ members = leaderAt("http://b"), fetch = () => Promise.reject(new Error()) }: Follower) {
  let nowMs = 0;
  const parts = {
    store: { health: () => Promise.resolve({ self: "a" }), members },
    leadership: { current: undefined },
    clock: { monotonicMs: () => nowMs, sleep: (ms: number) => Promise.resolve(void (nowMs += ms)) },
    fetch,
  } as unknown as Pick<Control, "store" | "leadership" | "clock" | "fetch">;
  const answer = forwardToLeader(parts, () => errorResponse(noLeader()));
  return (headers: Record<string, string> = {}): Promise<Response> =>
    Promise.resolve(answer(new Request("http://a/api/cp/x?y=1", { method: "POST", headers, body: "b" })));
}

test("while nobody can say who leads, the answer is 503 with Retry-After", async () => {
  const response = await follower({ members: () => Promise.reject(noLeader()) })();
  expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"]);
});

test("passes on path, query, body and token once, and never what was passed on already", async () => {
  const calls: [string, string, string | null][] = [];
  const fetch = async (url: string, { body, headers }: RequestInit): Promise<Response> => {
    const text = await new Response(body ?? null).text();
    calls.push([url, text, new Headers(headers).get("authorization")]);
    return Response.json({ done: true });
  };
  const ask = follower({ fetch });
  expect(await (await ask({ authorization: "Bearer t" })).json()).toEqual({ done: true });
  expect(calls).toEqual([["http://b/api/cp/x?y=1", "b", "Bearer t"]]);
  expect((await ask({ "x-manybase-forwarded-by": "control" })).status).toBe(503);
  expect(calls).toHaveLength(1);
});

test("what the leader itself could not do is its answer, and is not tried again", async () => {
  let asked = 0;
  const full = (): Promise<Response> => {
    asked += 1;
    const busy = new SystemError("overloaded", "Cannot do it now: too many wait", { retryAfterMs: 3_000 });
    return Promise.resolve(errorResponse(busy));
  };
  const response = await follower({ fetch: full })();
  expect([response.status, response.headers.get("retry-after"), asked]).toEqual([503, "3", 1]);
  expect(((await response.json()) as { error: { code: string } }).error.code).toBe("overloaded");
});

test("a leader that certainly did nothing is asked again, one that broke off is not", async () => {
  let refused = 0;
  const starting = (): Promise<Response> => {
    refused += 1;
    if (refused === 1) return Promise.reject(Object.assign(new Error(), { code: "ConnectionRefused" }));
    return Promise.resolve(refused === 2 ? errorResponse(noLeader()) : Response.json({ done: true }));
  };
  expect((await follower({ fetch: starting })()).status).toBe(200);
  expect(refused).toBe(3);
  let asked = 0;
  const broken = (): Promise<Response> => {
    asked += 1;
    return Promise.reject(new Error("reset"));
  };
  const response = await follower({ fetch: broken })();
  expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([
    503,
    "control_state_unknown",
  ]);
  expect(asked).toBe(1);
});
