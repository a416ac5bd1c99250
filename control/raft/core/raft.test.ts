import { describe, expect, test } from "bun:test";
import { mayLeaveEarly, RaftCore } from "./raft.ts";
import { append, committedLeader, data, drain, EMPTY, from, initial, leader, options } from "./testing.ts";
import type { Message, NodeId, Snapshot } from "./types.ts";

describe("RaftCore: alone", () => {
  test("leads at once, and commits only what advance said is on disk", () => {
    const core = new RaftCore(options("a"), initial(["a"]));
    core.campaign();
    expect(core.status()).toMatchObject({ role: "leader", term: 1, commit: 0 });
    const first = core.ready();
    expect(first).toMatchObject({
      hardState: { term: 1, vote: "a", commit: 0 },
      entries: [{ index: 1, term: 1, kind: "noop" }],
      committed: [],
      mustSync: true,
    });
    expect(core.propose(new Uint8Array([7]))).toEqual({ accepted: true, index: 2, term: 1 });
    expect(core.status().commit).toBe(0);
    core.advance();
    expect(core.status().commit).toBe(1);
    const second = core.ready();
    expect(second.committed.map((entry) => entry.index)).toEqual([1]);
    expect(second.entries.map((entry) => entry.index)).toEqual([2]);
    core.advance();
    const third = core.ready();
    expect(third).toMatchObject({ committed: [{ index: 2 }], entries: [], mustSync: false });
    core.advance();
    expect(core.hasReady()).toBe(false);
  });

  test("answers a read only after an entry of its own term is committed", () => {
    const core = new RaftCore(options("a"), initial(["a"]));
    core.campaign();
    expect(core.readIndex("r")).toBe(true);
    expect(core.ready().readStates).toEqual([]);
    core.advance();
    expect(core.ready().readStates).toEqual([{ context: "r", index: 1 }]);
  });

  test("ready and advance alternate", () => {
    const core = new RaftCore(options("a"), initial(["a"]));
    expect(() => core.advance()).toThrow("no ready is outstanding");
    core.campaign();
    core.ready();
    expect(core.hasReady()).toBe(false);
    expect(() => core.ready()).toThrow("not advanced");
  });
});

describe("RaftCore: what others have", () => {
  test("entries on disk that a new leader replaced are given out to be written again", () => {
    const core = new RaftCore(
      options("a"),
      initial(["a", "b", "c"], {
        hardState: { term: 1, vote: null, commit: 1 },
        entries: [data(1, 1), data(2, 1), data(3, 1)],
      }),
    );
    core.step({ from: "b", to: "a", term: 2, ...append([1, 1], [data(2, 2)], 2) });
    const ready = core.ready();
    expect(ready.entries).toMatchObject([{ index: 2, term: 2 }]);
    // Committed, but not on this disk yet.
    expect(ready.committed.map(({ index }) => index)).toEqual([1]);
  });

  test("a node that does not answer is sent no snapshot until it does", () => {
    const core = committedLeader();
    const acknowledge = (): void => {
      const { lastIndex, commit } = core.status();
      from(core, "b", 1, { kind: "append_response", index: lastIndex });
      from(core, "b", 1, { kind: "heartbeat_response", read: 0, commit });
    };
    const sent: Message[] = [];
    const round = (): void => {
      core.tick();
      core.propose(EMPTY);
      sent.push(...drain(core).messages);
      acknowledge();
      sent.push(...drain(core).messages);
    };
    // Two checks of the quorum: by the second, c was silent since the first.
    for (let i = 0; i < 20; i++) round();
    core.compact(core.describeSnapshot(core.status().applied, EMPTY)!, 0);
    core.reportUnreachable("c");
    sent.length = 0;
    for (let i = 0; i < 5; i++) round();
    expect(new Set(sent.filter(({ to }) => to === "c").map(({ kind }) => kind))).toEqual(
      new Set(["heartbeat"]),
    );
    const answered = from(core, "c", 1, { kind: "heartbeat_response", read: 0, commit: 1 });
    expect(answered).toMatchObject([{ to: "c", kind: "snapshot" }]);
  });
});

describe("RaftCore: elections", () => {
  test("a follower asks first without spending a term, then for real", () => {
    const core = new RaftCore(options("a"), initial(["a", "b", "c"]));
    for (let i = 0; i < 9; i++) core.tick();
    expect(core.status().role).toBe("follower");
    core.tick();
    const asked = core.ready();
    expect(asked.hardState).toBeNull();
    expect(asked.messages.map(({ kind, to, term }) => ({ kind, to, term }))).toEqual([
      { kind: "pre_vote", to: "b", term: 1 },
      { kind: "pre_vote", to: "c", term: 1 },
    ]);
    core.advance();
    core.step({ from: "c", to: "a", term: 1, kind: "pre_vote_response", granted: true });
    const real = core.ready();
    expect(real.hardState).toEqual({ term: 1, vote: "a", commit: 0 });
    expect(real.mustSync).toBe(true);
    expect(real.messages.every((message) => message.kind === "vote" && !mayLeaveEarly(real, message))).toBe(
      true,
    );
  });

  test("votes once a term, and never for a log older than its own", () => {
    const core = new RaftCore(
      options("a"),
      initial(["a", "b", "c"], { hardState: { term: 2, vote: null, commit: 0 }, entries: [data(1, 2)] }),
    );
    const ask = (sender: NodeId, term: number, lastIndex: number, lastTerm: number): unknown =>
      from(core, sender, term, { kind: "vote", lastIndex, lastTerm, transfer: false })[0];
    expect(ask("b", 3, 5, 1)).toMatchObject({ kind: "vote_response", granted: false });
    expect(ask("b", 3, 1, 2)).toMatchObject({ granted: true });
    expect(ask("c", 3, 9, 2)).toMatchObject({ granted: false });
    expect(ask("b", 3, 1, 2)).toMatchObject({ granted: true });
  });

  test("a vote outlives a restart, and whoever gave one waits a whole time-out before it asks itself", () => {
    const voted = { hardState: { term: 2, vote: "b", commit: 0 } };
    const again = new RaftCore(options("a"), initial(["a", "b", "c"], voted));
    const vote = { kind: "vote", lastIndex: 0, lastTerm: 0, transfer: false } as const;
    expect(from(again, "c", 2, vote)[0]).toMatchObject({ granted: false });
    expect(from(again, "b", 2, vote)[0]).toMatchObject({ granted: true });
    const free = { hardState: { term: 2, vote: null, commit: 0 } };
    const core = new RaftCore(options("a"), initial(["a", "b", "c"], free));
    for (let i = 0; i < 9; i++) core.tick();
    expect(from(core, "b", 2, vote)[0]).toMatchObject({ granted: true });
    for (let i = 0; i < 9; i++) core.tick();
    expect(core.status().role).toBe("follower");
    core.tick();
    expect(core.status().role).toBe("pre_candidate");
  });

  test("a node with a live leader ignores votes, unless the leader asked for them", () => {
    const core = new RaftCore(options("b"), initial(["a", "b", "c"]));
    from(core, "a", 1, { kind: "heartbeat", commit: 0, read: 0 });
    const vote = { kind: "vote", lastIndex: 9, lastTerm: 1 } as const;
    expect(from(core, "c", 5, { ...vote, transfer: false })).toEqual([]);
    expect(core.status().term).toBe(1);
    expect(from(core, "c", 5, { ...vote, transfer: true })[0]).toMatchObject({ granted: true, term: 5 });
  });

  test("a leader that hears from no majority steps down", () => {
    const core = committedLeader();
    for (let i = 0; i < 20; i++) core.tick();
    expect(core.status()).toMatchObject({ role: "follower", leader: null, term: 1 });
    expect(core.propose(EMPTY)).toEqual({ accepted: false, reason: "not_leader", leader: null });
  });

  test("a leader of an old term learns of the new one", () => {
    const core = new RaftCore(
      options("b"),
      initial(["a", "b", "c"], { hardState: { term: 7, vote: null, commit: 0 } }),
    );
    const [answer] = from(core, "a", 3, { kind: "heartbeat", commit: 0, read: 0 });
    expect(answer).toMatchObject({ to: "a", term: 7 });
  });

  test("an append of an old term changes nothing", () => {
    const core = new RaftCore(
      options("b"),
      initial(["a", "b", "c"], { hardState: { term: 7, vote: null, commit: 0 } }),
    );
    from(core, "a", 3, append([0, 0], [data(1, 3)], 1));
    expect(core.status()).toMatchObject({ term: 7, leader: null, lastIndex: 0, commit: 0 });
  });

  test("hands leadership to a node that has everything, and refuses proposals meanwhile", () => {
    const core = committedLeader();
    expect(core.transferLeader("nobody")).toBe(false);
    expect(core.transferLeader("c")).toBe(true);
    expect(drain(core).messages).toMatchObject([{ kind: "timeout_now", to: "c" }]);
    expect(core.propose(EMPTY)).toEqual({ accepted: false, reason: "transferring" });
    const target = new RaftCore(options("c"), initial(["a", "b", "c"]));
    from(target, "a", 1, { kind: "timeout_now" });
    expect(target.status()).toMatchObject({ role: "candidate", term: 2 });
  });
});

describe("RaftCore: replication", () => {
  test("nobody hears of a leader's entries before its own vote is on disk", () => {
    const core = new RaftCore(
      options("a"),
      initial(["a"], {
        snapshot: { index: 0, term: 0, membership: { voters: ["a"], learners: ["l"] }, data: EMPTY },
      }),
    );
    core.campaign();
    const opening = core.ready();
    expect(opening.messages.map((message) => [message.kind, mayLeaveEarly(opening, message)])).toEqual([
      ["append", false],
    ]);
    core.advance();
    drain(core);
    from(core, "l", 1, { kind: "append_response", index: 1 });
    core.propose(EMPTY);
    const later = core.ready();
    expect(later.messages.map((message) => [message.kind, mayLeaveEarly(later, message)])).toEqual([
      ["append", true],
    ]);
  });

  test("proposals of one turn leave in one message", () => {
    const core = committedLeader();
    for (let i = 0; i < 5; i++) core.propose(new Uint8Array(10));
    const appends = drain(core).messages.filter((message) => message.kind === "append");
    expect(appends.map((message) => message.entries.length)).toEqual([5, 5]);
  });

  test("the window bounds what is under way, and answers open it", () => {
    const core = committedLeader({ messageBytesMax: 10, uncommittedBytesMax: 100_000 });
    for (let i = 0; i < 8; i++) core.propose(new Uint8Array(10));
    const toB = drain(core).messages.filter((message) => message.kind === "append" && message.to === "b");
    expect(toB).toHaveLength(4);
    const more = from(core, "b", 1, { kind: "append_response", index: 3 });
    expect(more.filter((message) => message.kind === "append" && message.to === "b")).toHaveLength(2);
  });

  test("refuses what is too large or too much", () => {
    const core = committedLeader();
    expect(core.propose(new Uint8Array(501))).toEqual({ accepted: false, reason: "too_large" });
    expect(core.propose(new Uint8Array(500)).accepted).toBe(true);
    expect(core.propose(new Uint8Array(500)).accepted).toBe(true);
    expect(core.propose(new Uint8Array(1))).toEqual({ accepted: false, reason: "busy" });
    drain(core);
    from(core, "b", 1, { kind: "append_response", index: 3 });
    expect(core.propose(new Uint8Array(1)).accepted).toBe(true);
  });

  test("a follower answers for what matches, not for what it happens to have", () => {
    const core = new RaftCore(
      options("b"),
      initial(["a", "b", "c"], {
        hardState: { term: 1, vote: null, commit: 1 },
        entries: [data(1, 1), data(2, 1), data(3, 1)],
      }),
    );
    expect(from(core, "a", 2, append([1, 1], [], 3))).toMatchObject([{ kind: "append_response", index: 1 }]);
    expect(core.status().commit).toBe(1);
    from(core, "a", 2, append([1, 1], [data(2, 2)], 2));
    expect(core.status()).toMatchObject({ commit: 2, lastIndex: 2 });
    expect(core.termAt(2)).toBe(2);
  });

  test("a rejection names where the logs can match, and the leader jumps there", () => {
    const follower = new RaftCore(
      options("b"),
      initial(["a", "b", "c"], {
        hardState: { term: 3, vote: null, commit: 0 },
        entries: [data(1, 1), data(2, 3), data(3, 3), data(4, 3)],
      }),
    );
    const [rejection] = from(follower, "a", 5, append([4, 2], [], 0));
    expect(rejection).toMatchObject({ kind: "append_rejected", previousIndex: 4, hintIndex: 1, hintTerm: 1 });
  });

  test("gives out committed entries only once they are on its own disk", () => {
    const core = new RaftCore(options("b"), initial(["a", "b", "c"]));
    core.step({ from: "a", to: "b", term: 1, ...append([0, 0], [data(1, 1), data(2, 1)], 2) });
    const first = core.ready();
    expect(first).toMatchObject({ committed: [], hardState: { commit: 0 } });
    core.advance();
    expect(core.ready()).toMatchObject({ committed: [{ index: 1 }, { index: 2 }], hardState: { commit: 2 } });
  });

  test("entries replaced while they were being written do not count as written", () => {
    const core = new RaftCore(options("b"), initial(["a", "b", "c"]));
    core.step({ from: "a", to: "b", term: 1, ...append([0, 0], [data(1, 1), data(2, 1)], 0) });
    core.ready();
    core.step({ from: "c", to: "b", term: 2, ...append([0, 0], [data(1, 2), data(2, 2)], 2) });
    core.advance();
    const next = core.ready();
    expect(next.committed).toEqual([]);
    expect(next.entries.map((entry) => entry.term)).toEqual([2, 2]);
  });

  test("entries of earlier terms commit only through one of the leader's own", () => {
    const core = new RaftCore(
      options("a"),
      initial(["a", "b", "c"], { hardState: { term: 1, vote: null, commit: 0 }, entries: [data(1, 1)] }),
    );
    core.campaign();
    drain(core);
    from(core, "b", 2, { kind: "pre_vote_response", granted: true });
    from(core, "b", 2, { kind: "vote_response", granted: true });
    from(core, "b", 2, { kind: "append_response", index: 1 });
    expect(core.status().commit).toBe(0);
    from(core, "b", 2, { kind: "append_response", index: 2 });
    expect(core.status().commit).toBe(2);
  });

  test("sends a snapshot to a node that lacks compacted entries, and the log after it", () => {
    const core = committedLeader();
    for (let i = 0; i < 4; i++) core.propose(EMPTY);
    drain(core);
    from(core, "b", 1, { kind: "append_response", index: 5 });
    core.compact(core.describeSnapshot(5, new Uint8Array([9]))!, 0);
    const sent = from(core, "c", 1, { kind: "append_rejected", previousIndex: 5, hintIndex: 0, hintTerm: 0 });
    const answered =
      sent.length > 0 ? sent : from(core, "c", 1, { kind: "heartbeat_response", read: 0, commit: 0 });
    const snapshot = answered.find((message) => message.kind === "snapshot")!;
    expect(snapshot).toMatchObject({ to: "c", snapshot: { index: 5, term: 1 } });
    const follower = new RaftCore(options("c"), initial(["a", "b", "c"]));
    follower.step(snapshot);
    const ready = follower.ready();
    expect(ready).toMatchObject({ snapshot: { index: 5 }, committed: [], mustSync: true });
    expect(ready.messages).toMatchObject([{ kind: "append_response", index: 5 }]);
    follower.advance();
    expect(follower.status()).toMatchObject({ commit: 5, applied: 5, lastIndex: 5 });
  });

  test("keeps behind a snapshot what both bounds allow: so many entries, and no more bytes", () => {
    const kept = (keepEntries: number, keepBytes?: number): number => {
      const core = committedLeader();
      for (let i = 0; i < 8; i++) core.propose(new Uint8Array(100));
      drain(core);
      from(core, "b", 1, { kind: "append_response", index: 9 });
      drain(core);
      core.compact(core.describeSnapshot(9, EMPTY)!, keepEntries, keepBytes);
      return [...Array(10).keys()].filter((index) => core.termAt(index) !== undefined).length - 1;
    };
    expect(kept(3)).toBe(3);
    expect(kept(100)).toBe(9);
    expect(kept(100, 250)).toBe(2);
    expect(kept(1, 250)).toBe(1);
    expect(kept(0, 250)).toBe(0);
    expect(kept(3, 99)).toBe(0);
  });

  test("goes on after a snapshot whose answer was lost, as soon as a heartbeat's answer shows that it arrived", () => {
    const core = committedLeader();
    for (let i = 0; i < 4; i++) core.propose(EMPTY);
    drain(core);
    from(core, "b", 1, { kind: "append_response", index: 5 });
    core.compact(core.describeSnapshot(5, new Uint8Array([9]))!, 0);
    from(core, "c", 1, { kind: "append_rejected", previousIndex: 5, hintIndex: 0, hintTerm: 0 });
    from(core, "c", 1, { kind: "heartbeat_response", read: 0, commit: 0 });
    core.propose(EMPTY);
    expect(drain(core).messages.filter(({ to }) => to === "c")).toEqual([]);
    const sent = from(core, "c", 1, { kind: "heartbeat_response", read: 0, commit: 5 });
    expect(sent).toContainEqual(expect.objectContaining({ to: "c", kind: "append", previousIndex: 5 }));
    expect(core.status().match["c"]).toBe(5);
  });

  test("asks one that rejects what it acknowledged once a heartbeat, not at once and for ever", () => {
    const core = committedLeader();
    core.propose(EMPTY);
    drain(core);
    from(core, "c", 1, { kind: "append_response", index: 2 });
    core.reportUnreachable("c");
    const rejection = { kind: "append_rejected", previousIndex: 2, hintIndex: 1, hintTerm: 1 } as const;
    from(core, "c", 1, { kind: "heartbeat_response", read: 0, commit: 1 });
    const appends = (messages: Message[]): number =>
      messages.filter(({ to, kind }) => to === "c" && kind === "append").length;
    for (let i = 0; i < 5; i++) expect(appends(from(core, "c", 1, rejection))).toBe(0);
    expect(appends(from(core, "c", 1, { kind: "heartbeat_response", read: 0, commit: 1 }))).toBe(1);
  });

  test("a snapshot of what it has already only moves the commit index", () => {
    const core = new RaftCore(
      options("b"),
      initial(["a", "b", "c"], {
        hardState: { term: 1, vote: null, commit: 1 },
        entries: [data(1, 1), data(2, 1), data(3, 1)],
      }),
    );
    const membership = { voters: ["a", "b", "c"], learners: [] };
    const snapshot = (index: number): Snapshot => ({ index, term: 1, membership, data: EMPTY });
    core.step({ from: "a", to: "b", term: 1, kind: "snapshot", snapshot: snapshot(2) });
    expect(core.ready()).toMatchObject({ snapshot: null, messages: [{ kind: "append_response", index: 2 }] });
    core.advance();
    drain(core);
    expect(core.status()).toMatchObject({ commit: 2, applied: 2, lastIndex: 3 });
    core.step({ from: "a", to: "b", term: 1, kind: "snapshot", snapshot: snapshot(1) });
    expect(core.ready()).toMatchObject({ snapshot: null, messages: [{ kind: "append_response", index: 2 }] });
  });

  test("a heartbeat tells nobody of commits beyond what that node is known to have", () => {
    const core = leader();
    from(core, "b", 1, { kind: "append_response", index: 1 });
    core.tick();
    const beats = drain(core).messages.filter((message) => message.kind === "heartbeat");
    expect(beats.map((beat) => [beat.to, beat.commit])).toEqual([
      ["b", 1],
      ["c", 0],
    ]);
  });
});
