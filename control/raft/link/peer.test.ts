import { expect, test } from "bun:test";
import { limits } from "../../../shared/limits.ts";
import type { Receiver } from "../driver/transport.ts";
import { type Frame, Sealer } from "./frame.ts";
import { Peer, type Socket } from "./peer.ts";

/** A peer whose time passes by hand, and a socket that closed before it became the link: it tells its end to nobody any more. */
function world() {
  let nowMs = 0;
  const unreachable: string[] = [];
  const sent: Frame[] = [];
  const receiver: Receiver = {
    message: () => undefined,
    propose: () => Promise.reject(new Error("not here")),
    unreachable: (id) => void unreachable.push(id),
    address: () => undefined,
  };
  const peer = new Peer("b", receiver, () => nowMs);
  const reader = new Sealer("k");
  const closed: string[] = [];
  const queue = { bytes: 0 };
  const adopt = (name = "first", preferred = true): boolean => {
    const socket: Socket = {
      send: (bytes) => void sent.push(reader.open(bytes)),
      buffered: () => queue.bytes,
      close: () => void closed.push(name),
    };
    return peer.adopt({ socket, out: new Sealer("k"), in: new Sealer("l"), preferred });
  };
  return { peer, adopt, closed, queue, unreachable, sent, pass: (ms: number) => (nowMs += ms) };
}

test("a link over a dead socket is given up when it was silent for long, and what waits for it ends", async () => {
  const { peer, adopt, unreachable, pass } = world();
  adopt();
  const forwarded = peer.propose(new Uint8Array(1), new AbortController().signal).catch(String);
  pass(limits.raftLinkSilentMs - 1);
  expect([peer.check(), peer.linked]).toEqual([false, true]);
  pass(1);
  expect([peer.check(), peer.linked]).toEqual([true, false]);
  expect(unreachable).toEqual(["b"]);
  expect(await forwarded).toContain("the connection was lost");
  expect(peer.check()).toBe(false);
});

test("a quiet link is kept alive by pings", () => {
  const { peer, adopt, sent, pass } = world();
  adopt();
  pass(limits.raftLinkPingMs);
  expect([peer.check(), sent.map(({ kind }) => kind)]).toEqual([false, ["ping"]]);
});

test("a snapshot that found the link full is offered when there is room again", () => {
  const { peer, adopt, queue, sent } = world();
  adopt();
  queue.bytes = limits.raftLinkQueueBytesMax + 1;
  const snapshot = { index: 9, term: 2, membership: { voters: ["a"], learners: [] }, data: new Uint8Array() };
  const message = { kind: "snapshot", from: "a", to: "b", term: 2, snapshot } as const;
  peer.sendSnapshot(message, { chunks: [], sha256: "x" });
  peer.check();
  expect(sent).toEqual([]);
  queue.bytes = 0;
  peer.check();
  peer.check();
  expect(sent.map(({ kind }) => kind)).toEqual(["offer"]);
});

test.each([
  ["the one whose turn it is to dial keeps its link when the other's comes late", true, false, "second"],
  ["the one whose turn it is to dial wins over the other's", false, true, "first"],
  ["of its own two the newer one wins", true, true, "first"],
])("of two links that cross, %s", (_, first, second, loser) => {
  const { adopt, closed } = world();
  expect(adopt("first", first)).toBe(true);
  expect(adopt("second", second)).toBe(loser === "first");
  expect(closed).toEqual([loser]);
});

test("a preferred link that was not heard of for a while gives way to any", () => {
  const { adopt, closed, pass } = world();
  adopt("first", true);
  pass(2 * limits.raftLinkPingMs);
  expect(adopt("second", false)).toBe(true);
  expect(closed).toEqual(["first"]);
});
