import { expect, test } from "bun:test";
import { Wake } from "../store/wake.ts";
import { EtcdClient } from "./client.ts";
import { Election } from "./election.ts";
import { Layout } from "./layout.ts";
import { Origin } from "./origin.ts";

const TTL_SECONDS = 3;

/** An etcd that gives this replica the lead, and takes its time to answer a renewal. */
function electing() {
  const state = { nowMs: 0, answerMs: 0, alive: true };
  const answers: Record<string, () => unknown> = {
    "/v3/lease/grant": () => ({ ID: "7", TTL: String(TTL_SECONDS) }),
    "/v3/lease/keepalive": () => {
      state.nowMs += state.answerMs;
      return { result: { ID: "7", TTL: state.alive ? String(TTL_SECONDS) : "0" } };
    },
    "/v3/kv/txn": () => ({ header: { revision: "5" }, succeeded: true, responses: [{}] }),
  };
  const fetch = ((url: string) =>
    Promise.resolve(
      Response.json(answers[new URL(url).pathname]?.() ?? {}),
    )) as unknown as typeof globalThis.fetch;
  const layout = new Layout("test");
  const election = new Election({
    client: new EtcdClient({ urls: "http://etcd", fetch }),
    layout,
    origin: new Origin(layout.origin, 0, 0),
    clock: { now: () => state.nowMs, after: () => () => {} },
    ...{ id: "a", url: "http://a", leaderChanged: new Wake() },
  });
  return { state, election };
}

test("a leader whose renewals are not answered stops counting as one when its lease may have run out", async () => {
  const { state, election } = electing();
  await election.settle();
  expect(election.state).toEqual({ leader: true, term: 5 });
  state.nowMs = TTL_SECONDS * 1_000 - 1;
  expect(election.state.leader).toBe(true);
  state.nowMs = TTL_SECONDS * 1_000;
  expect(election.state.leader).toBe(false);
});

test("a renewal counts from when it was sent: the server's lease may have begun then", async () => {
  const { state, election } = electing();
  await election.settle();
  state.nowMs = 1_000;
  state.answerMs = 1_500;
  await election.settle();
  expect(state.nowMs).toBe(2_500);
  state.nowMs = 3_999;
  expect(election.state.leader).toBe(true);
  state.nowMs = 4_000;
  expect(election.state.leader).toBe(false);
});
