import { expect, test } from "bun:test";
import type { SentSnapshot } from "../driver/transport.ts";
import { SnapshotHash } from "../log/snapshot-hash.ts";
import type { Frame, SnapshotMessage } from "./frame.ts";
import { SnapshotReceiver, SnapshotSender } from "./snapshot-transfer.ts";

const snapshot = { index: 9, term: 2, membership: { voters: ["a"], learners: [] }, data: new Uint8Array() };
const message: SnapshotMessage = { kind: "snapshot", from: "a", to: "b", term: 2, snapshot };
const chunks = Array.from({ length: 40 }, (_, i) => new Uint8Array(100).fill(i));

function sent(all: readonly Uint8Array[]): SentSnapshot {
  const hash = new SnapshotHash();
  for (const chunk of all) hash.add(chunk);
  return { chunks: all, sha256: hash.digest() };
}

/** Two sides and the wire between them; `spoil` may change or drop (undefined) what the sender sends. */
function pair(spoil: (frame: Frame) => Frame | undefined = (frame) => frame) {
  const wire: Frame[] = [];
  const got: (readonly Uint8Array[])[] = [];
  let sentChunks = 0;
  /** So many frames do not leave. */
  const full = { frames: 0 };
  const back: Frame[] = [];
  const sender = new SnapshotSender((frame) => {
    if (frame.kind === "chunk") sentChunks += 1;
    if (full.frames > 0) {
      full.frames -= 1;
      return false;
    }
    const left = spoil(frame);
    if (left !== undefined) wire.push(left);
    return true;
  });
  const receiver = new SnapshotReceiver(
    (frame) => back.push(frame) > 0,
    (_, complete) => got.push(complete),
  );
  const run = (): void => {
    while (wire.length > 0 || back.length > 0) {
      const frame = wire.shift();
      if (frame?.kind === "offer") receiver.offered(frame);
      if (frame?.kind === "chunk") receiver.chunk(frame);
      const answer = back.shift();
      if (answer?.kind === "want") sender.wanted(answer);
    }
  };
  return { sender, run, got, wire, full, sent: () => sentChunks };
}

test("a snapshot arrives whole, within a window", () => {
  const { sender, run, got, wire } = pair();
  sender.start(message, sent(chunks));
  expect(wire).toHaveLength(1);
  run();
  expect(got).toEqual([chunks]);
});

test("a transfer that is cut off goes on where it stopped", () => {
  let budget = 25;
  const {
    sender,
    run,
    got,
    sent: sentChunks,
  } = pair((frame) => {
    return frame.kind === "chunk" && budget-- <= 0 ? undefined : frame;
  });
  sender.start(message, sent(chunks));
  run();
  expect(got).toEqual([]);
  const before = sentChunks();
  budget = 1_000;
  sender.offer();
  run();
  expect(got).toEqual([chunks]);
  expect(sentChunks() - before).toBe(chunks.length - 25);
});

test("a chunk that came damaged is not taken: the next offer starts again", () => {
  let damage = true;
  const { sender, run, got } = pair((frame) => {
    if (frame.kind !== "chunk" || frame.index !== 7 || !damage) return frame;
    return { ...frame, bytes: new Uint8Array(100) };
  });
  sender.start(message, sent(chunks));
  run();
  expect(got).toEqual([]);
  damage = false;
  sender.offer();
  run();
  expect(got).toEqual([chunks]);
});

test("a newer snapshot takes the place of one under way; an empty one arrives too", () => {
  const { sender, run, got } = pair((frame) =>
    frame.kind === "chunk" && frame.bytes[0] === 20 ? undefined : frame,
  );
  sender.start(message, sent(chunks));
  run();
  const newer = chunks.slice(0, 5);
  sender.start(message, sent(newer));
  run();
  expect(got).toEqual([newer]);
  sender.start(message, sent([]));
  run();
  expect(got).toEqual([newer, []]);
});

test("what could not leave, because too much waited, leaves later; what goes on by itself is left alone", () => {
  const { sender, run, got, full, wire } = pair((frame) => {
    if (frame.kind === "chunk" && frame.index === 12) full.frames = Number.POSITIVE_INFINITY;
    return frame;
  });
  sender.start(message, sent(chunks));
  sender.nudge();
  expect(wire).toHaveLength(1);
  run();
  expect(got).toEqual([]);
  sender.nudge();
  expect(wire).toEqual([]);
  full.frames = 0;
  sender.nudge();
  run();
  expect(got).toEqual([chunks]);
  sender.nudge();
  expect(wire).toEqual([]);
});

test("one chunk that could not leave is sent before those after it", () => {
  const { sender, run, got, full } = pair((frame) => {
    if (frame.kind === "chunk" && frame.index === 12) full.frames = 1;
    return frame;
  });
  sender.start(message, sent(chunks));
  run();
  expect(got).toEqual([chunks]);
});
