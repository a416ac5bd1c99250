import { describe, expect, test } from "bun:test";
import { RaftCore } from "./raft.ts";
import { append, committedLeader, data, drain, EMPTY, from, initial, leader, options } from "./testing.ts";
import type { Entry } from "./types.ts";

describe("RaftCore: reads", () => {
  test("wait for a majority that answers after they were asked", () => {
    const core = committedLeader();
    expect(core.readIndex("r1")).toBe(true);
    const [beat] = drain(core).messages;
    expect(beat).toMatchObject({ kind: "heartbeat", read: 1 });
    core.readIndex("r2");
    core.step({ from: "b", to: "a", term: 1, kind: "heartbeat_response", read: 1, commit: 0 });
    expect(drain(core).reads).toEqual(["r1"]);
    core.step({ from: "c", to: "a", term: 1, kind: "heartbeat_response", read: 2, commit: 0 });
    expect(drain(core).reads).toEqual(["r2"]);
  });

  test("of a follower are asked of the leader", () => {
    const core = new RaftCore(options("b"), initial(["a", "b", "c"]));
    expect(core.readIndex("r")).toBe(false);
    from(core, "a", 1, { kind: "heartbeat", commit: 0, read: 0 });
    expect(core.readIndex("r")).toBe(true);
    expect(drain(core).messages).toMatchObject([{ kind: "read_index", to: "a", context: "r" }]);
    core.step({ from: "a", to: "b", term: 1, kind: "read_index_response", context: "r", index: 4 });
    expect(core.ready().readStates).toEqual([{ context: "r", index: 4 }]);
  });

  test("are bounded", () => {
    const core = committedLeader({ pendingReadsMax: 2 });
    expect([core.readIndex("1"), core.readIndex("2"), core.readIndex("3")]).toEqual([true, true, false]);
  });
});

describe("RaftCore: membership", () => {
  test("waits for an entry of the leader's own term, then changes one server at a time", () => {
    const core = leader();
    expect(core.proposeMembership({ kind: "add_learner", id: "d" })).toMatchObject({ reason: "not_ready" });
    from(core, "b", 1, { kind: "append_response", index: 1 });
    expect(core.proposeMembership({ kind: "add_learner", id: "d" })).toMatchObject({
      accepted: true,
      index: 2,
    });
    expect(core.status().membership).toEqual({ voters: ["a", "b", "c"], learners: ["d"] });
    expect(core.proposeMembership({ kind: "remove", id: "c" })).toMatchObject({ reason: "not_ready" });
  });

  test("promotes a learner only when it has caught up", () => {
    const core = committedLeader();
    core.proposeMembership({ kind: "add_learner", id: "d" });
    for (let i = 0; i < 3; i++) core.propose(EMPTY);
    drain(core);
    from(core, "b", 1, { kind: "append_response", index: 5 });
    expect(core.proposeMembership({ kind: "promote", id: "d" })).toMatchObject({ reason: "not_ready" });
    from(core, "d", 1, { kind: "append_response", index: 5 });
    expect(core.proposeMembership({ kind: "promote", id: "d" })).toMatchObject({ accepted: true });
    expect(core.status().membership).toEqual({ voters: ["a", "b", "c", "d"], learners: [] });
  });

  test("a removed leader leads until its removal is committed, by the others alone", () => {
    const core = committedLeader();
    core.proposeMembership({ kind: "remove", id: "a" });
    drain(core);
    from(core, "b", 1, { kind: "append_response", index: 2 });
    expect(core.status()).toMatchObject({ role: "leader", commit: 1 });
    from(core, "c", 1, { kind: "append_response", index: 2 });
    expect(core.status()).toMatchObject({ role: "follower", commit: 2 });
    for (let i = 0; i < 50; i++) core.tick();
    expect(core.status().role).toBe("follower");
  });

  test("a voter that is being removed may still have to lead, until the removal is committed", () => {
    const removal: Entry = {
      index: 2,
      term: 1,
      kind: "membership",
      membership: { voters: ["b"], learners: [] },
    };
    const start = initial(["a", "b"], {
      hardState: { term: 1, vote: "a", commit: 1 },
      entries: [data(1, 1), removal],
    });
    const core = new RaftCore(options("a"), start);
    core.campaign();
    expect(drain(core).messages).toMatchObject([{ kind: "pre_vote", to: "b", lastIndex: 2 }]);
    from(core, "b", 2, { kind: "pre_vote_response", granted: true });
    from(core, "b", 2, { kind: "vote_response", granted: true });
    expect(core.status().role).toBe("leader");
    from(core, "b", 2, { kind: "append_response", index: 3 });
    expect(core.status()).toMatchObject({ role: "follower", commit: 3 });
    core.campaign();
    expect(core.status().role).toBe("follower");
  });

  test("goes back to what it was when the entry is replaced", () => {
    const core = new RaftCore(options("b"), initial(["a", "b", "c"]));
    const change: Entry = {
      index: 1,
      term: 1,
      kind: "membership",
      membership: { voters: ["a", "b", "c"], learners: ["d"] },
    };
    from(core, "a", 1, append([0, 0], [change], 0));
    expect(core.status().membership.learners).toEqual(["d"]);
    from(core, "c", 2, append([0, 0], [data(1, 2)], 0));
    expect(core.status().membership.learners).toEqual([]);
  });

  test("refuses nonsense", () => {
    const core = committedLeader();
    for (const change of [
      { kind: "add_learner", id: "b" },
      { kind: "promote", id: "b" },
      { kind: "remove", id: "x" },
    ] as const) {
      expect(core.proposeMembership(change)).toMatchObject({ accepted: false, reason: "invalid_change" });
    }
    const alone = new RaftCore(options("a"), initial(["a"]));
    alone.campaign();
    drain(alone);
    expect(alone.proposeMembership({ kind: "remove", id: "a" })).toMatchObject({ reason: "invalid_change" });
  });
});
